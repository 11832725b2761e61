/**
 * Compensation: the handler is run once more over its records, only to find the undo of each step that has one; nothing
 * new begins. Then the undos run in reverse order of what they take back, each recorded when it is done. What the present
 * code offers no undo for is a person's to see to, never skipped in silence.
 */
import { UntildoneError } from '../core/errors.js'
import type { StepContext } from '../define/context.js'
import type { StepRow } from '../stores/store.js'
import type { Attempt } from './attempt.js'
import { recordedValue } from './memo.js'
import { enter } from './scope.js'

type Undo = (value: any, context: StepContext) => unknown

export class Undos {
  private readonly known = new Map<string, { undo: Undo; context: StepContext }>()
  /** The step that is being undone; a person can say that they have seen to it. */
  at: string | null = null

  /** A recorded step was met on the way, with its undo. */
  offer(key: string, undo: Undo | undefined, context: StepContext): void {
    if (undo) this.known.set(key, { undo, context })
  }

  private unknown: { error: unknown } | null = null

  /** Whether an effect has happened that would have to be undone is not known. */
  cannotTell(error: unknown): void {
    this.unknown ??= { error }
  }

  /** Something that was recorded inside this path must be undone. */
  within(attempt: Attempt, path: string): boolean {
    return this.due(attempt).some(({ key }) => key.startsWith(`${path}/`))
  }

  /** Steps that must be undone, latest first. */
  due(attempt: Attempt): StepRow[] {
    return [...(attempt.memo?.values() ?? [])]
      .filter((row) => row.undo === 'due')
      .sort((a, b) => (b.seq ?? 0) - (a.seq ?? 0) || (b.key < a.key ? -1 : 1))
  }

  /**
   * An effect that was begun and has no record may have happened. Where the handler came to it, it was asked; one that it
   * did not come to may have an undo.
   * @throws UntildoneError `undo-missing`
   */
  private async nothingMissed(attempt: Attempt): Promise<void> {
    const effects = await attempt.store.effects(attempt.id)
    const missed = effects.find(({ step, state }) => state === 'started' && !attempt.steps.names.has(step))
    if (!missed) return
    const { step } = missed
    const said = `Step "${step}" was begun and may have happened, and the present code does not come to it.`
    throw new UntildoneError('undo-missing', said, { params: { step } })
  }

  /**
   * Undoes what is due.
   * @returns what this job has undone, in all its attempts, and what a person said to have seen to
   * @throws what an undo threw; UntildoneError `undo-missing` when the present code has none for a step
   */
  async run(attempt: Attempt): Promise<{ steps: string[]; partial: string[] }> {
    const stopped = attempt.goOn()
    if (this.unknown) throw this.unknown.error
    await this.nothingMissed(attempt)
    for (const row of this.due(attempt)) {
      this.at = row.key
      const found = this.known.get(row.key)
      if (!found)
        throw new UntildoneError(
          'undo-missing',
          `Step "${row.key}" must be undone, and the present code offers no undo for it.`,
          { params: { step: row.key } },
        )
      if (attempt.draining) throw attempt.drained()
      try {
        const scope = { attempt, path: '', inside: 'an undo' } as const
        const undoing = enter(scope, async () => found.undo(recordedValue(row), found.context))
        // One that does not end is left at the time limit, like a step.
        await Promise.race([undoing, stopped])
      } catch (error) {
        attempt.errors.classify(error, undefined, row.key)
        throw error
      }
      await attempt.recordUndone(row.key)
      row.undo = 'undone'
      attempt.notes.log('info', `Undone: ${row.key}`, { step: row.key })
    }
    const rows = [...(attempt.memo?.values() ?? [])]
    return {
      steps: rows.filter((row) => row.undo === 'undone').map(({ key }) => key),
      partial: rows.filter((row) => row.undo === 'by-hand').map(({ key }) => key),
    }
  }
}
