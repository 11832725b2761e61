// Secrets are found in every usual form, innocent text stays as it is.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { runProcess, scrubberOf, secretsOf } from './index.js'
import { REPLACEMENT, tailOf } from './scrub.js'

const secret = 'pa$$ w0rd/äö+"quote"'
const { scrub } = scrubberOf([secret])

describe('scrubbing', () => {
  it.each([
    ['plain', secret],
    ['URL', encodeURIComponent(secret)],
    ['form', new URLSearchParams([['', secret]]).toString().slice(1)],
    ['JSON', JSON.stringify(secret).slice(1, -1)],
    ['hex', Buffer.from(secret).toString('hex')],
    ['base64', Buffer.from(secret).toString('base64')],
    ['base64url', Buffer.from(secret).toString('base64url')],
  ])('finds it as %s', (_, form) => {
    expect(scrub(`a ${form} b ${form}`)).not.toContain(form)
    expect(scrub(`a ${form} b`)).toContain(REPLACEMENT)
  })

  it('finds it in base64 wherever it stands in a longer text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 7 }), fc.string({ maxLength: 7 }), (before, after) => {
        const cleaned = scrub(Buffer.from(`${before}${secret}${after}`).toString('base64'))
        return cleaned.includes(REPLACEMENT)
      }),
    )
  })

  it('leaves a text without secrets as it is, and does not take three letters for one', () => {
    fc.assert(fc.property(fc.string(), (text) => text.includes('w0rd') || scrub(text) === text))
    expect(scrubberOf(['abc', '']).scrub('abc abc')).toBe('abc abc')
    expect(scrubberOf(['.*']).scrub('anything')).toBe('anything')
    expect(scrubberOf(['a.*b']).scrub('a--b a.*b')).toBe(`a--b ${REPLACEMENT}`)
  })

  it('replaces the longer of two that overlap as a whole', () => {
    expect(scrubberOf(['hunter', 'hunter22']).scrub('hunter22 hunter')).toBe(`${REPLACEMENT} ${REPLACEMENT}`)
  })

  it('knows secrets of an env by their names', () => {
    const env = { API_KEY: 'k-1', DB_PASSWORD: 'p-1', MONKEY: 'm', PATH: '/bin', GITHUB_TOKEN: 't-1' }
    expect(secretsOf(env)).toEqual(['k-1', 'p-1', 't-1'])
  })

  it('a tail that is cut through a secret shows no half of it', () => {
    const scrubber = scrubberOf([secret])
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 120 }), (after) => {
        const tail = tailOf(Buffer.from(`${'-'.repeat(500)}${secret}${'='.repeat(after)}`), 100, scrubber)
        return tail.length <= 100 && !/w0rd|quote/.test(tail)
      }),
    )
  })
})

describe('a run', () => {
  it('keeps no secret in its tail, its arguments or its error, and hands on its output as it is', async () => {
    const args = ['-c', 'echo "token $KEY_TOKEN"; echo "$0 failed" >&2; exit 2', 'hunter2-arg']
    const outcome = await runProcess({
      command: '/bin/sh',
      args,
      env: { KEY_TOKEN: 'tok-12345' },
      secrets: ['hunter2-arg'],
    })
    expect(outcome.stdout.toString()).toBe('token tok-12345\n')
    expect(outcome.tail).toEqual({ stdout: `token ${REPLACEMENT}\n`, stderr: `${REPLACEMENT} failed\n` })
    expect(outcome.argv.at(-1)).toBe(REPLACEMENT)
    const missing = await runProcess({ command: '/opt/hunter2-arg/engine', secrets: ['hunter2-arg'] })
    expect(missing.error!.message).not.toContain('hunter2')
    expect(missing.argv).toEqual([`/opt/${REPLACEMENT}/engine`])
  })
})
