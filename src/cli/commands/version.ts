/** `untildone version`. */

import { ownVersion } from '../../server/version.js'
import type { CommandSpec } from '../command.js'

export const version: CommandSpec = {
  usage: 'version',
  summary: 'version of this program',
  examples: [['untildone version --json', 'with that of Node']],
  async run(context) {
    const untildone = ownVersion()
    if (context.options.json) context.printJson({ untildone, node: process.versions.node, platform: process.platform })
    else context.print(`untildone ${untildone}`)
  },
}
