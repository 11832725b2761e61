/**
 * A driver that lets everything else run between any two of its statements, and between a read and whatever is done with
 * it: what a database on another machine does by itself. Transactions still follow each other, as in SQLite.
 */
import type { SqliteDriver as Driver } from '../../src/stores/sqlite/driver.js'
import { SqliteDriver } from '../../src/stores/sqlite/driver.js'

type Transact = Driver['transact']
interface Inside {
  db: { exec(sql: string): void }
  execute(statement: unknown): unknown
  rollback(): void
}

export class YieldingDriver extends SqliteDriver {
  private last: Promise<unknown> = Promise.resolve()
  /** Turns of the loop that were let pass. */
  static yields = 0

  override transact: Transact = (plan, write) => {
    const run = this.last.then(() => this.slowly(plan, write))
    this.last = run.catch(() => undefined)
    return run.then(async (answer) => {
      await turn()
      return answer
    })
  }

  private async slowly(plan: Parameters<Transact>[0], write: boolean): Promise<any> {
    const inside = this as unknown as Inside
    if (write) inside.db.exec('begin immediate')
    try {
      const steps = plan()
      let step = steps.next()
      while (!step.done) {
        await turn()
        step = steps.next(inside.execute(step.value))
      }
      await turn()
      if (write) this.commit()
      return step.value
    } catch (error) {
      if (write) inside.rollback()
      throw error
    }
  }
}

function turn(): Promise<void> {
  YieldingDriver.yields++
  return new Promise((resolve) => setImmediate(resolve))
}
