/**
 * The taught rules that are in force, as workers try them: read at the start, after each change of ours, and from time to
 * time, because another process may have changed them. Never waited for when an error is judged.
 */
import type { JobRecord } from '../core/job.js'
import type { TaughtRule } from '../core/taught.js'
import type { Store } from '../stores/store.js'

const NONE: readonly TaughtRule[] = []

export class TaughtBook {
  private rules: ReadonlyMap<string, TaughtRule[]> = new Map()
  private asked = 0
  private shown = 0

  constructor(private readonly store: Pick<Store, 'rules'>) {}

  /** The latest first: whoever teaches last knows what was taught before. */
  of({ tenant, type }: Pick<JobRecord, 'tenant' | 'type'>): readonly TaughtRule[] {
    return this.rules.get(keyOf(tenant, type)) ?? NONE
  }

  async load(): Promise<void> {
    const turn = ++this.asked
    const rules = await this.store.rules.inForce()
    // Of two readings the one that began later has seen more.
    if (turn < this.shown) return
    this.shown = turn
    const grouped = new Map<string, TaughtRule[]>()
    for (const rule of rules) {
      const key = keyOf(rule.tenant, rule.type)
      const known = grouped.get(key)
      if (known) known.push(rule)
      else grouped.set(key, [rule])
    }
    this.rules = grouped
  }
}

const keyOf = (tenant: string, type: string): string => `${tenant}/${type}`
