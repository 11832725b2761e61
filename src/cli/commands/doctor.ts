/** `untildone doctor`: what is well and what is not, here and on the server; each line that is not says what to do. */
import { DATA_DIR } from '../address.js'
import type { CommandSpec } from '../command.js'
import { POOLER, SCHEMA } from '../database-option.js'

export const doctor: CommandSpec = {
  usage: 'doctor',
  summary: 'check this machine and the server',
  details: 'Exit code 0 when nothing is wrong, 1 otherwise. Looks and does not change anything.',
  options: [
    { flags: '--jobs <dir>', text: 'folder of the job files (default: jobs)' },
    { flags: '--data <dir>', text: `folder for the database and files (default: ${DATA_DIR})` },
    { flags: '--database <url>', text: 'PostgreSQL to look at, too (default: UNTILDONE_DATABASE, else none)' },
    SCHEMA,
    POOLER,
    {
      flags: '--redis <url>',
      text: 'Redis to look at, too: redis://user:password@host:6379 (default: UNTILDONE_REDIS, else none)',
    },
  ],
  examples: [
    ['untildone doctor --json', 'for a report of trouble'],
    ['untildone doctor --database postgres://db/jobs', 'and what holds PostgreSQL up'],
  ],
  async run(context, _args, options) {
    // On demand: it needs the store, the process supervision and the job loader, which other commands do not.
    const { report } = await import('../doctor.js')
    return report(context, options)
  },
}
