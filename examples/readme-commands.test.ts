import { expect, test } from 'vitest'
import { expectInOrder } from './demo-run.js'
import { commandsOf } from './readme-commands.js'

const sh = (...lines: string[]) => ['```sh', ...lines, '```'].join('\n')

test('reads the commands of a README, and the answer to the last one of a block', () => {
  const block = sh(
    '. people.env',
    'curl "http://x/a"',
    `curl -X POST "http://x/b" \\`,
    ` -H "k: v" -d '{`,
    `"n": '$N'}'`,
  )
  expect(commandsOf(`${block}\n\`\`\`json\n{ "ok": true }\n\`\`\``)).toMatchObject([
    { method: 'GET', url: 'http://x/a', headers: {}, body: undefined, answer: undefined },
    { method: 'POST', url: 'http://x/b', headers: { k: 'v' }, body: '{\n"n": $N}', answer: { ok: true } },
  ])
})

test('what cannot be sent is an error, wherever it stands', () => {
  for (const lines of [['ls'], ['ls', 'curl "http://x"'], ['curl "http://x"', 'ls']])
    expect(() => commandsOf(sh(...lines)), lines.join()).toThrow(/Cannot read/)
})

test('what is printed must come in order', () => {
  expectInOrder('one\ntwo\n', [/one\n/, /^two/m])
  expect(() => expectInOrder('one\ntwo\n', [/two/, /one/])).toThrow(/one/)
})
