// For the tests of the READMEs of examples: the commands that stand there. Reads them; sends nothing.

export interface Command {
  line: string
  method: string
  url: string
  headers: Record<string, string>
  body: string | undefined
  /** What the README shows behind it. */
  answer: any
}

/**
 * The curl lines of the shell blocks, in their order. A JSON block right behind one is the answer to its last line. A line
 * that is no such command is an error; one that begins with `. ` reads variables in and is left out.
 */
export function commandsOf(markdown: string): Command[] {
  const blocks = [...markdown.matchAll(/```sh\n([\s\S]*?)```(?:\n```json\n([\s\S]*?)```)?/g)]
  return blocks.flatMap(([, shell, json]) => {
    const lines = shell!
      .replaceAll('\\\n', ' ')
      .trim()
      // A body may have several lines.
      .split(/\n(?=curl|\. )/)
      .filter((line) => !line.startsWith('. '))
    return lines.map((line, index) => {
      const [, method = 'GET', url] = /^curl (?:-X (\w+) )?"([^"]+)"/.exec(line) ?? []
      const unquoted = line.replace(/'[^']*'|"[^"]*"/g, '')
      if (!url || unquoted.includes('\n')) throw new Error(`Cannot read: ${line}`)
      const headers = [...line.matchAll(/ -H "([\w-]+): ([^"]+)"/g)].map(([, name, value]) => [name, value])
      return {
        ...{ line, method, url, headers: Object.fromEntries(headers), body: bodyOf(line) },
        answer: json && index === lines.length - 1 ? JSON.parse(json) : undefined,
      }
    })
  })
}

/** What a shell makes of `'…'$NAME'…'` but for the variable. */
function bodyOf(line: string): string | undefined {
  const quoted = / -d ('.*')$/s.exec(line)?.[1]
  return quoted?.replace(/'(\$\w+)'/g, '$1').replace(/^'|'$/g, '')
}
