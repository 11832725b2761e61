import { describe, expect, expectTypeOf, it } from 'vitest'
import type { WireEvent } from '../core/wire.js'
import { isNewer, signWebhook, verifyWebhook, WebhookVerificationError } from './index.js'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const NEXT = `whsec_${'A'.repeat(42)}E=`
const NOW = Date.UTC(2026, 10, 22, 9)
const BODY = '{"id":"job-1:9","type":"job.completed","data":{"jobId":"job-1","version":9}}'
const signed = (keys = [SECRET], sentAt = NOW) => signWebhook({ id: 'job-1:9', sentAt, body: BODY }, keys)

describe('verifyWebhook', () => {
  it('gives the event', async () => {
    const event = await verifyWebhook({ ...(await signed()) }, BODY, SECRET, { now: NOW })
    expect(event).toEqual(JSON.parse(BODY))
    expectTypeOf(event).toEqualTypeOf<WireEvent>()
  })

  it('takes several keys, and the clock of the machine', async () => {
    const headers = new Headers(Object.entries(await signed([NEXT], Date.now())))
    await expect(verifyWebhook(headers, BODY, [SECRET, NEXT])).resolves.toMatchObject({ type: 'job.completed' })
  })

  it('allows five minutes, or what is given', async () => {
    const headers = { ...(await signed()) }
    const at = (now: number, toleranceMs?: number) => verifyWebhook(headers, BODY, SECRET, { now, toleranceMs })
    await expect(at(NOW + 300_000)).resolves.toBeTruthy()
    await expect(at(NOW + 300_001)).rejects.toMatchObject({ code: 'webhook-too-old', status: 400 })
    await expect(at(NOW + 10_001, 10_000)).rejects.toMatchObject({ code: 'webhook-too-old' })
  })

  it('says what is wrong, what to do, and what to answer', async () => {
    const headers = { ...(await signed()) }
    const error = await verifyWebhook(headers, JSON.parse(BODY), SECRET, { now: NOW }).catch((error) => error)
    expect(error).toBeInstanceOf(WebhookVerificationError)
    expect(error).toMatchObject({ name: 'WebhookVerificationError', code: 'webhook-body-parsed', status: 500 })
    expect(error.fix).toContain('express.raw')
    await expect(verifyWebhook({}, BODY, SECRET)).rejects.toMatchObject({ code: 'webhook-header-missing', status: 400 })
    await expect(verifyWebhook(headers, `${BODY} `, SECRET, { now: NOW })).rejects.toMatchObject({
      code: 'webhook-signature-mismatch',
      status: 400,
    })
  })

  it('an environment variable that is not set is a missing key', async () => {
    const unset = process.env.UNTILDONE_NO_SUCH_SECRET as string
    const verified = verifyWebhook({ ...(await signed()) }, BODY, unset, { now: NOW })
    await expect(verified).rejects.toMatchObject({ code: 'webhook-key-invalid', status: 500 })
  })

  it('never shows a key', async () => {
    const headers = { ...(await signed()) }
    for (const key of [`whsec_${'c2VjcmV0'.repeat(2)}`, 'whsec_c2VjcmV0!', 'c2VjcmV0c2VjcmV0c2VjcmV0', NEXT]) {
      const error = await verifyWebhook(headers, BODY, key, { now: NOW }).catch((error) => error)
      expect(`${error.message} ${error.fix} ${error.stack}`).not.toMatch(/c2VjcmV0|AAAAAA/)
    }
  })
})

describe('isNewer', () => {
  const event = (version: number) => ({ data: { version } })

  it('is true for the first event and for later versions only', () => {
    expect(isNewer(event(1), null)).toBe(true)
    expect(isNewer(event(1), undefined)).toBe(true)
    expect(isNewer(event(1), 0)).toBe(true)
    expect(isNewer(event(9), 8)).toBe(true)
    expect(isNewer(event(9), 9)).toBe(false)
    expect(isNewer(event(8), 9)).toBe(false)
  })

  it('leaves the latest state whatever the order of arrival, repeats included', () => {
    const orders = [
      [1, 2, 3],
      [3, 1, 2, 3],
      [2, 3, 3, 1],
      [1, 3, 2, 2, 1],
    ]
    for (const order of orders) {
      let last: number | null = null
      for (const version of order) if (isNewer(event(version), last)) last = version
      expect(last).toBe(3)
    }
  })
})
