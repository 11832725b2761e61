// What a site asks of programs that read it: the groups of robots.txt that are for everybody. A path may be read if the
// longest rule that fits allows it (RFC 9309).

interface Rule {
  allow: boolean
  length: number
  pattern: RegExp
}

export class Robots {
  private readonly rules: Rule[]

  constructor(text: string) {
    this.rules = rulesOf(text)
  }

  allows(url: string): boolean {
    const { pathname, search } = new URL(url)
    let best: Rule | undefined
    for (const rule of this.rules) {
      if (!rule.pattern.test(pathname + search)) continue
      if (!best || rule.length > best.length || (rule.length === best.length && rule.allow)) best = rule
    }
    return best?.allow ?? true
  }
}

function rulesOf(text: string): Rule[] {
  const rules: Rule[] = []
  let forUs = false
  let inAgents = false
  for (const line of text.split(/\r?\n/)) {
    const [, field = '', value = ''] = /^\s*([\w-]+)\s*:\s*([^#]*)/.exec(line) ?? []
    const name = field.toLowerCase()
    if (name === 'user-agent') {
      // Several of these lines in a row name one group.
      forUs = (inAgents && forUs) || value.trim() === '*'
      inAgents = true
    } else if (name === 'allow' || name === 'disallow') {
      inAgents = false
      const path = value.trim()
      if (forUs && path !== '') rules.push({ allow: name === 'allow', length: path.length, pattern: patternOf(path) })
    }
  }
  return rules
}

function patternOf(path: string): RegExp {
  const end = path.endsWith('$')
  const parts = (end ? path.slice(0, -1) : path).split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}${end ? '$' : ''}`)
}
