/** A handler in a process of its own; docs/guide/children.md. */
import { defineJob, until } from 'untildone/define'
import { z } from 'zod'
import { layout } from './native-layout.js'

// #region job
export const render = defineJob('render', {
  input: z.object({ pages: z.array(z.string()) }),
  output: z.object({ widths: z.array(z.number()) }),
})

export const renderHandler = render.handler(
  {
    isolate: { module: import.meta.url, limits: { rssMb: 1024, stall: '30s' } },
    retry: until({ attempts: 3, backoff: { from: '1ms', to: '1ms' } }),
    errors: [{ signal: 'SIGABRT', is: 'permanent', as: 'layout-bug' }],
  },
  async (job) => {
    const widths: number[] = []
    for (const page of job.input.pages) widths.push(await job.step('layout', () => layout(page, job.attempt)))
    return { widths }
  },
)
// #endregion
