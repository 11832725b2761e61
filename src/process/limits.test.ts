// Command lines with and without the wrappers of the OS, and the words for how a child ended.
import { describe, expect, it } from 'vitest'
import { causeOf, kindOf, type RawEnd, signalOfCode } from './exit.js'
import { protections } from './index.js'
import { findTools, wrap } from './limits.js'

describe('wrap', () => {
  const both = { setpriv: '/usr/bin/setpriv', prlimit: '/usr/bin/prlimit', unshare: ['/u', '--pid', '--'] }
  const free = { core: Infinity, as: Infinity, fsize: Infinity, cpu: Infinity }
  it('goes without what is missing', () => {
    const none = { setpriv: null, prlimit: null, unshare: null }
    const all = { memoryMb: 100, cpuSeconds: 1, fileBytes: 1, strong: true }
    expect(wrap('/bin/x', ['-a', '--'], all, none)).toEqual({ file: '/bin/x', args: ['-a', '--'], held: [] })
    expect(wrap('/bin/x', ['-a'], {}, { ...none, prlimit: '/p' }, free)).toEqual({
      file: '/p',
      args: ['--core=0:0', '--', '/bin/x', '-a'],
      held: ['core'],
    })
  })
  it('puts the parent-death signal outermost and limits memory only when asked', () => {
    const pdeathsig = ['--pdeathsig', 'KILL', '--', '/usr/bin/prlimit', '--core=0:0']
    expect(wrap('/bin/x', ['-a'], {}, both, free)).toEqual({
      file: '/usr/bin/setpriv',
      args: [...pdeathsig, '--', '/bin/x', '-a'],
      held: ['core', 'parent-death'],
    })
    // More than the parent's own hard limit cannot be had without privileges.
    expect(wrap('/bin/x', [], { memoryMb: 2 }, both, { ...free, as: 4096 }).args).toContain('--as=4096:4096')
    expect(wrap('/bin/x', [], { cpuSeconds: 9 }, both, { ...free, cpu: 5 }).args).toContain('--cpu=5:5')
    expect(wrap('/bin/x', ['-a'], { memoryMb: 1, fileBytes: 7, cpuSeconds: 1.2 }, both, free)).toEqual({
      file: '/usr/bin/setpriv',
      args: [...pdeathsig, '--as=1048576:1048576', '--fsize=7:7', '--cpu=2:4', '--', '/bin/x', '-a'],
      held: ['core', 'address-space', 'file-size', 'cpu', 'parent-death'],
    })
  })
  it('does not ask for what the child has from its parent', () => {
    const coreless = { ...free, core: 0 }
    expect(wrap('/bin/x', ['-a'], {}, both, coreless)).toEqual({
      file: '/usr/bin/setpriv',
      args: ['--pdeathsig', 'KILL', '--', '/bin/x', '-a'],
      held: ['core', 'parent-death'],
    })
    expect(wrap('/bin/x', [], { cpuSeconds: 1 }, both, coreless).args).toContain('--core=0:0')
  })
  it('puts a pid namespace between the two, which hands on the end of its child', () => {
    const { args, held } = wrap('/bin/x', [], { strong: true }, both, free)
    expect(args.join(' ')).toBe('--pdeathsig KILL -- /u --pid -- /usr/bin/prlimit --core=0:0 -- /bin/x')
    expect(held).toEqual(['core', 'pid-namespace', 'parent-death'])
  })
  it('says what is active, as found', async () => {
    const tools = await findTools()
    expect(await protections()).toMatchObject({
      procfs: process.platform === 'linux',
      parentDeath: tools.setpriv !== null,
      coreLimit: tools.prlimit !== null,
      memoryLimit: tools.prlimit !== null,
      pidNamespace: tools.unshare !== null,
      cgroup: null,
      disk: { low: false },
    })
    expect(findTools()).toBe(findTools())
  })
})

describe('the words for an end', () => {
  const end = (part: Partial<RawEnd>): RawEnd => ({ code: null, signal: null, stop: null, held: null, ...part })
  it.each([
    [end({ code: 0 }), 'exited', 'exit 0'],
    [end({ code: 1 }), 'exited', 'exit 1'],
    [end({ code: 128 }), 'exited', 'exit 128'],
    [end({ code: 137 }), 'exited', 'SIGKILL'],
    [end({ code: 134 }), 'exited', 'SIGABRT'],
    [end({ code: 153 }), 'exited', 'SIGXFSZ'],
    [end({ code: 255 }), 'exited', 'exit 255'],
    [end({ signal: 'SIGBUS' }), 'signalled', 'SIGBUS'],
    [end({ code: 0, stop: 'timeout' }), 'timeout', 'timeout'],
    [end({ signal: 'SIGTERM', stop: 'aborted' }), 'aborted', 'aborted'],
    [end({ code: 0, stop: 'output-limit' }), 'output-limit', 'output-limit'],
    [end({ stop: 'timeout', held: 'unkillable' }), 'defunct', 'unkillable'],
    [end({ code: 0, stop: 'defunct' }), 'defunct', 'defunct'],
  ])('%j is %s: %s', (raw, kind, cause) => {
    expect([kindOf(raw), causeOf(raw, null)]).toEqual([kind, cause])
  })
  it('names an envelope as the cause only behind exit 0', () => {
    expect(causeOf(end({ code: 0 }), 'truncated')).toBe('envelope truncated')
    expect(causeOf(end({ code: 3 }), 'missing')).toBe('exit 3')
    expect(causeOf(end({ signal: 'SIGSEGV' }), 'missing')).toBe('SIGSEGV')
  })
  it('knows no signal behind other codes', () => {
    expect([null, 0, 11, 128, 160, 192].map(signalOfCode)).toEqual([null, null, null, null, null, null])
  })
})
