/** What was decided, by models and by people: the decision log of a job, the audit trail and the proof that it is whole. */

import type { AuditEntry } from '../core/history.js'
import { firstBreak } from '../core/history.js'
import { parseJson } from '../core/json.js'
import type { WireAuditCheck, WireAuditEntry, WireDecision } from '../core/wire-operate.js'
import type { Caller, Page } from './api.js'
import type { AuditQuery } from './operator-api.js'
import type { EngineParts } from './parts.js'
import { demand } from './rights.js'
import { iso } from './view.js'

const PAGE = 100
const PAGE_MAX = 1000

export class Trail {
  constructor(private readonly parts: EngineParts) {}

  async decisions(caller: Caller, id: string): Promise<WireDecision[]> {
    await this.parts.load(caller, id)
    return (await this.parts.store.decisions(id)).map(({ at, attempt, model, modelVersion, tools, path, fields }) => ({
      ...{ at: iso(at), attempt, model, modelVersion, tools: [...tools], path },
      fields: fields === null ? null : parseJson(fields),
    }))
  }

  async audit(caller: Caller, { after = 0, limit = PAGE, ...filter }: AuditQuery): Promise<Page<WireAuditEntry>> {
    demand(caller, 'admin')
    const size = Math.min(PAGE_MAX, limit)
    const entries = await this.parts.store.audit(caller.tenant, after, size + 1, filter)
    const items = entries.slice(0, size).map(shown)
    return { items, nextCursor: entries.length > size ? String(items.at(-1)!.seq) : null }
  }

  async verifyAudit(caller: Caller): Promise<WireAuditCheck> {
    demand(caller, 'admin')
    let last: AuditEntry | null = null
    for (let entries = 0; ; ) {
      const page: AuditEntry[] = await this.parts.store.audit(caller.tenant, last?.seq ?? 0, PAGE_MAX)
      const broken = firstBreak(page, this.parts.entropy.sha256, last)
      entries += page.length
      last = page.at(-1) ?? last
      if (broken || page.length < PAGE_MAX)
        return {
          ...{ intact: broken === null, entries, head: last && { seq: last.seq, hash: last.hash } },
          firstBreak: broken && shown(broken),
        }
    }
  }
}

function shown(entry: AuditEntry): WireAuditEntry {
  return { ...entry, at: iso(entry.at) }
}
