import { describe, expect, it } from 'vitest'
import { Commits } from './commits.js'
import { WebhookBook } from './outbox.js'
import { PauseBook } from './pauses.js'
import type { Driver } from './plan.js'
import type { Tx } from './tx.js'

/** Two commits at a time, each over when the test says so. */
function open(onTold: (write: () => void) => void) {
  const under: { end: () => void; fail: (error: Error) => void }[] = []
  const order: string[] = []
  const driver = {
    flights: 2,
    defer: (fn: () => void) => void setImmediate(fn),
    explain: (error: unknown) => error,
    transact: (plan: () => unknown) => {
      plan()
      order.push('begun')
      return new Promise((resolve, reject) => under.push({ end: () => resolve([]), fail: reject }))
    },
  } as unknown as Driver
  const tx = { changes: [], seen: [], toOutbox: false, guessed: null } as unknown as Tx
  const told = () => {
    order.push('told')
    onTold(write)
  }
  const commits = new Commits(
    driver,
    () => tx,
    new PauseBook(true),
    new WebhookBook(true),
    told,
    () => null,
  )
  const write = () => void commits.write(function* () {}).catch(() => order.push('refused'))
  return { under, order, commits, write }
}
/** Everything that was begun has had its turn. */
const turn = async () => {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

describe('a commit that is over', () => {
  it('is not in the way of the next one: what is written when it is told of leaves before anything else has its turn', async () => {
    const { under, order, write } = open((next) => {
      next()
      setImmediate(() => order.push('turn'))
    })
    write()
    await turn()
    write()
    await turn()
    expect(order.splice(0)).toEqual(['begun', 'begun'])
    under[0]!.end()
    await turn()
    expect(order).toEqual(['told', 'begun', 'turn'])
  })

  it('leaves what has collected meanwhile in one commit, and never more than two are under way', async () => {
    const { under, order, write } = open(() => {})
    for (let i = 0; i < 2; i++) {
      write()
      await turn()
    }
    for (let i = 0; i < 5; i++) write()
    await turn()
    expect(under).toHaveLength(2)
    under[1]!.end()
    await turn()
    expect(order).toEqual(['begun', 'begun', 'told', 'begun'])
    write()
    await turn()
    expect(under).toHaveLength(3)
  })

  it('makes way also when it has failed', async () => {
    const { under, order, write } = open(() => {})
    for (let i = 0; i < 3; i++) {
      write()
      await turn()
    }
    under[0]!.fail(new Error('no'))
    await turn()
    expect(order).toEqual(['begun', 'begun', 'refused', 'begun'])
  })
})
