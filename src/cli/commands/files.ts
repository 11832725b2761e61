/** `untildone files upload` and `files get`: bytes that are too large for an input. */
import { createWriteStream, existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { CommandSpec } from '../command.js'
import { CliError, EXIT } from '../failure.js'
import { bytes } from '../text.js'
import { uploadFile } from './submit.js'

export const filesUpload: CommandSpec = {
  usage: 'files upload <path>',
  summary: 'store a file and print its id',
  details: 'A file that no job refers to is removed after 24 hours.',
  options: [
    { flags: '--name <name>', text: 'name to keep (default: that of the file)' },
    { flags: '--content-type <type>', text: 'e.g. application/pdf (default: by the ending)' },
  ],
  examples: [['untildone files upload scan.pdf', 'prints the id to put into an input']],
  async run(context, [path], options) {
    const file = await uploadFile(context, path, { name: options.name, contentType: options.contentType })
    if (context.options.json) context.printJson(file)
    else context.print(file.file)
    context.say(`${bytes(file.bytes)}, SHA-256 ${file.sha256}`)
  },
}

export const filesGet: CommandSpec = {
  usage: 'files get <id>',
  summary: 'fetch a stored file',
  options: [
    { flags: '--out <path>', text: 'where to write it; standard output when left out' },
    { flags: '--overwrite', text: 'replace a file that is there' },
  ],
  examples: [['untildone files get file_8fJ2… --out result.pdf', 'written whole or not at all']],
  async run(context, [id], options) {
    if (!options.out && context.io.outIsTerminal) {
      throw new CliError('usage', 'The file would be written to the terminal.', {
        fix: `untildone files get ${id} --out <path>`,
      })
    }
    const path = options.out && resolve(context.io.cwd, options.out)
    if (path && existsSync(path) && !options.overwrite) {
      throw new CliError('usage', `${options.out} is there already.`, {
        fix: 'Give another path, or add --overwrite.',
        exit: EXIT.conflict,
      })
    }
    const response = await context.client.files.get(id, { signal: context.interrupted })
    const body = response.body
      ? Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0])
      : Readable.from([])
    if (!path) {
      for await (const chunk of body) await context.io.outBytes(chunk as Uint8Array)
      return
    }
    const part = `${path}.${process.pid}.part`
    try {
      await pipeline(body, createWriteStream(part))
      await rename(part, path)
    } finally {
      await rm(part, { force: true })
    }
    context.say(`Written to ${options.out}.`)
  },
}
