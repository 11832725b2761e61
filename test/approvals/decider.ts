/**
 * One person at a computer of their own: a process with nothing but the client. For each line on stdin (approval, digest,
 * decision) it decides over HTTP and writes what it was told. Run by `node --import jiti/register`; its arguments are
 * address and key.
 */
import { createInterface } from 'node:readline'
import { createClient, UntildoneApiError } from '../../src/client/index.js'

const [, , url, key] = process.argv as [string, string, string, string]
const { approvals } = createClient({ url, key })
const say = (what: object) => process.stdout.write(`${JSON.stringify(what)}\n`)

await approvals.list({ limit: 1 }).page()
say({ ready: true })
for await (const line of createInterface({ input: process.stdin })) void decide(JSON.parse(line))

async function decide({ id, evidenceDigest, decision }: { id: string; evidenceDigest: string; decision: 'approve' }) {
  try {
    const { state, decisions } = await approvals.decide(id, { decision, evidenceDigest, reason: 'my decision' })
    say({ id, said: 'counted', state, decisions: decisions.length })
  } catch (error) {
    if (!(error instanceof UntildoneApiError)) throw error
    say({ id, said: error.code, status: error.status, params: error.params })
  }
}
