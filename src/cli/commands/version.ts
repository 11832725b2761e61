/** `untildone version`. */
import type { CommandSpec } from '../command.js'
import { packageVersion } from '../version.js'

export const version: CommandSpec = {
  usage: 'version',
  summary: 'version of this program',
  examples: [['untildone version --json', 'with that of Node']],
  async run(context) {
    const untildone = packageVersion()
    if (context.options.json) context.printJson({ untildone, node: process.versions.node, platform: process.platform })
    else context.print(`untildone ${untildone}`)
  },
}
