/** The disk after a loss of power: what was synced is there, what was not may be missing or torn. */
import { describe, expect, it } from 'vitest'
import { Disk, parseTrace } from './trace.mjs'

const OPS: Record<string, number> = {
  open: 1,
  write: 2,
  truncate: 3,
  fsync: 4,
  rename: 5,
  unlink: 6,
  ack: 7,
  fsyncDir: 8,
}

function record(op: string, file: number, offset: number, data: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(data)
  const head = Buffer.alloc(32)
  head.writeUInt32LE(OPS[op]!, 0)
  head.writeBigUInt64LE(BigInt(file), 8)
  head.writeBigUInt64LE(BigInt(offset), 16)
  head.writeBigUInt64LE(BigInt(bytes.length), 24)
  return Buffer.concat([head, bytes])
}

const disk = (...records: Buffer[]) => {
  const made = new Disk()
  for (const one of parseTrace(Buffer.concat(records))) made.apply(one)
  return made
}
const text = (picture: Map<string, Buffer>) =>
  Object.fromEntries([...picture].map(([path, content]) => [path, content.toString()]))

describe('Disk', () => {
  it('keeps what was synced, and loses what was not', () => {
    const one = disk(
      record('open', 7, 0, '/db'),
      record('write', 7, 0, 'abc'),
      record('fsync', 7, 0),
      record('fsyncDir', 1, 0),
      record('write', 7, 1, 'XY'),
    )
    expect(text(one.strict())).toEqual({ '/db': 'abc' })
    expect(text(one.seen())).toEqual({ '/db': 'aXY' })
  })

  it('loses a file whose folder was never synced, however well it was synced itself', () => {
    const one = disk(record('open', 7, 0, '/db'), record('write', 7, 0, 'abc'), record('fsync', 7, 0))
    expect(text(one.strict())).toEqual({})
  })

  it('brings a removed file back until the folder is synced', () => {
    const before = [record('open', 7, 0, '/db-wal'), record('fsyncDir', 1, 0), record('unlink', 0, 0, '/db-wal')]
    expect(text(disk(...before).strict())).toEqual({ '/db-wal': '' })
    expect(text(disk(...before, record('fsyncDir', 1, 0)).strict())).toEqual({})
  })

  it('starts a new file when a removed name comes back with the same inode', () => {
    const one = disk(
      record('open', 7, 0, '/db-wal'),
      record('write', 7, 0, 'old'),
      record('fsync', 7, 0),
      record('unlink', 0, 0, '/db-wal'),
      record('open', 7, 0, '/db-wal'),
      record('write', 7, 0, 'n'),
      record('fsync', 7, 0),
      record('fsyncDir', 1, 0),
    )
    expect(text(one.strict())).toEqual({ '/db-wal': 'n' })
  })

  it('moves and truncates', () => {
    const one = disk(
      record('open', 7, 0, '/a'),
      record('write', 7, 0, 'abcdef'),
      record('truncate', 7, 2),
      record('fsync', 7, 0),
      record('rename', 0, 0, '/a\0/b'),
      record('fsyncDir', 1, 0),
    )
    expect(text(one.strict())).toEqual({ '/b': 'ab' })
  })

  it('tears writes at 512 bytes', () => {
    let n = 0
    // The name is there, the write is applied, torn, and of its four sectors every second one arrives.
    const chances = [true, true, true, true, false, true, false]
    const one = disk(
      record('open', 7, 0, '/db'),
      record('fsyncDir', 1, 0),
      record('write', 7, 100, Buffer.alloc(1500, 'x')),
    )
    const [, content] = [...one.torn(() => chances[n++] ?? true)][0]!
    expect([
      content[99],
      content[100],
      content[511],
      content[512],
      content[1023],
      content[1024],
      content[1535],
      content[1536],
    ]).toEqual([0, 120, 120, 0, 0, 120, 120, undefined])
  })

  it('forgets the shared memory of the log', () => {
    expect(text(disk(record('open', 7, 0, '/db-shm'), record('fsyncDir', 1, 0)).strict())).toEqual({})
  })

  it('refuses a damaged trace', () => {
    expect(() => parseTrace(Buffer.alloc(40))).toThrow('damaged')
  })
})
