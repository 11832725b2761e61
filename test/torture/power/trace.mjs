/**
 * A recorded trace of writes and fsyncs, and the disk it would have left: what was synced is there, what was not may be
 * lost, or be there in part, torn at 512 bytes. Pure; reads no file but the trace.
 */
const OPS = ['', 'open', 'write', 'truncate', 'fsync', 'rename', 'unlink', 'ack', 'fsyncDir']
const HEAD = 32
const SECTOR = 512

/** The records of a trace, in order. */
export function parseTrace(bytes) {
  const records = []
  for (let at = 0; at + HEAD <= bytes.length; ) {
    const op = OPS[bytes.readUInt32LE(at)]
    if (!op) throw new Error(`The trace is damaged at byte ${at}.`)
    const length = Number(bytes.readBigUInt64LE(at + 24))
    const data = bytes.subarray(at + HEAD, at + HEAD + length)
    records.push({ op, file: bytes.readBigUInt64LE(at + 8), offset: Number(bytes.readBigUInt64LE(at + 16)), data })
    at += HEAD + length
  }
  return records
}

/** Contents of a file that grow as they are written. */
class Image {
  constructor(bytes = Buffer.alloc(0), size = bytes.length) {
    this.bytes = bytes
    this.size = size
  }
  write(offset, data) {
    this.#reach(offset + data.length)
    data.copy(this.bytes, offset)
  }
  truncate(size) {
    if (size < this.size) this.bytes.fill(0, size, this.size)
    else this.#reach(size)
    this.size = size
  }
  #reach(size) {
    if (size > this.bytes.length) {
      const larger = Buffer.alloc(Math.max(size, this.bytes.length * 2, 65_536))
      this.bytes.copy(larger, 0, 0, this.size)
      this.bytes = larger
    }
    this.size = Math.max(this.size, size)
  }
  copy() {
    return new Image(Buffer.from(this.bytes.subarray(0, this.size)))
  }
  get content() {
    return this.bytes.subarray(0, this.size)
  }
}

export class Disk {
  /** By inode: what is on the platter, and what has been written since its last sync. */
  #files = new Map()
  /** Path → inode as programs see it, and as the directory on the platter has it. */
  #names = new Map()
  #durableNames = new Map()

  apply({ op, file, offset, data }) {
    if (op === 'open') this.#opened(file, data.toString())
    else if (op === 'write' || op === 'truncate') this.#files.get(file).pending.push({ op, offset, data })
    else if (op === 'fsync') this.#sync(this.#files.get(file))
    else if (op === 'fsyncDir') this.#durableNames = new Map(this.#names)
    else if (op === 'unlink') this.#names.delete(data.toString())
    else if (op === 'rename') {
      const [from, to] = data.toString().split('\0')
      this.#names.set(to, this.#names.get(from))
      this.#names.delete(from)
    }
  }

  #opened(inode, path) {
    if (this.#names.get(path) === inode) return
    this.#names.set(path, inode)
    this.#files.set(inode, { durable: new Image(), pending: [] })
  }

  #sync(file) {
    for (const change of file.pending) perform(file.durable, change)
    file.pending = []
  }

  /** Everything as it was written, synced or not: what the files look like while there is power. */
  seen() {
    return this.#picture(this.#names, (file) => {
      const image = file.durable.copy()
      for (const change of file.pending) perform(image, change)
      return image.content
    })
  }

  /** Power fails now, and only what was synced has reached the disk. */
  strict() {
    return this.#picture(this.#durableNames, (file) => file.durable.content)
  }

  /** Power fails now, and some of what was not synced has reached the disk too, in pieces. `happens(p)` is the chance. */
  torn(happens) {
    const names = new Map(this.#durableNames)
    for (const [path, inode] of this.#names) if (happens(0.5)) names.set(path, inode)
    for (const path of [...names.keys()]) if (!this.#names.has(path) && happens(0.5)) names.delete(path)
    return this.#picture(names, (file) => {
      const image = file.durable.copy()
      for (const change of file.pending) if (happens(0.6)) perform(image, change, happens(0.5) ? happens : null)
      return image.content
    })
  }

  #picture(names, contentOf) {
    const picture = new Map()
    // The index of the log lives in memory; no program relies on it after a restart.
    for (const [path, inode] of names)
      if (!path.endsWith('-shm') && this.#files.has(inode)) picture.set(path, contentOf(this.#files.get(inode)))
    return picture
  }
}

/** Applies a change; with `happens`, each sector of it only by chance. */
function perform(image, { op, offset, data }, happens = null) {
  if (op === 'truncate') return image.truncate(offset)
  if (happens === null) return image.write(offset, data)
  for (let at = 0; at < data.length; ) {
    const end = Math.min(data.length, at + SECTOR - ((offset + at) % SECTOR))
    if (happens(0.5)) image.write(offset + at, data.subarray(at, end))
    at = end
  }
}
