/** Texts of the dev console: banner, keys, the note after the first completed job. Pure; shows only what exists. */
import { formatDuration } from '../../core/duration.js'
import { clean, count, cutTo, padTo, type Style, widthOf } from '../text.js'
import type { JobTypeLine } from './messages.js'

export interface BannerFacts {
  version: string
  readyMs: number
  url: string
  store: string
  /** Names of the facades that are on. */
  facades: readonly string[]
  jobsDir: string
  jobs: readonly JobTypeLine[]
  /** Type that key t runs. */
  sample: string | null
}

export function banner(facts: BannerFacts, style: Style, width: number): string {
  const head = `  untildone ${facts.version}   dev`
  const ready = `ready in ${Math.round(facts.readyMs)} ms`
  const lines = [
    '',
    `  ${style.bold('untildone')} ${facts.version}   ${style.yellow('dev')}${' '.repeat(Math.max(3, Math.min(width, 80) - widthOf(head) - ready.length - 2))}${style.dim(ready)}`,
    '',
    `  API         ${style.cyan(`${facts.url}/v1`)}          reference at /docs`,
    `  Store       ${facts.store}`,
    ...(facts.facades.length === 0 ? [] : [cutTo(`  Facades     ${facts.facades.join(', ')}`, width - 1)]),
    '',
    ...jobLines(facts, width),
  ]
  return lines.join('\n')
}

export function jobLines({ jobs, jobsDir }: Pick<BannerFacts, 'jobs' | 'jobsDir'>, width: number): string[] {
  const dir = jobsDir.startsWith('.') || jobsDir.startsWith('/') ? jobsDir : `./${jobsDir}`
  const name = Math.min(24, Math.max(8, ...jobs.map((job) => widthOf(job.type))))
  return [
    `  Jobs in ${dir}`,
    ...jobs.map((job) => {
      const what = job.stages > 0 ? count(job.stages, 'stage') : ''
      return cutTo(
        `    ${padTo(clean(job.type), name)}  ${padTo(what, 10)}  gives up after ${formatDuration(job.withinMs)}`,
        width - 1,
      )
    }),
  ]
}

export function keysLine(sample: string | null, width: number): string {
  const keys = [sample && `t run "${clean(sample)}"`, 'o open the API reference', 'k kill the worker', 'q quit'].filter(
    (key) => key !== null,
  )
  const line = `  ${keys.join('   ')}`
  return widthOf(line) < width ? line : keys.map((key) => `  ${key}`).join('\n')
}

/** Said once, after the first job that completed. */
export function firstDone(url: string, type: string, file: string, input: unknown, hurt: boolean): string {
  return [
    '',
    `  Your first job is done${hurt ? ', after one try that did not work' : ''}. Next:`,
    `    change it    ${clean(file)} reloads when saved`,
    '    break it     press t, then k: the worker is killed, the job goes on',
    `    call it      curl ${url}/v1/jobs \\`,
    '                   -H "content-type: application/json" \\',
    `                   -d '${JSON.stringify({ type, input }).replaceAll("'", "'\\''")}'`,
    '',
  ].join('\n')
}
