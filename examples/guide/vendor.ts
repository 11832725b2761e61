/** The far side of the README's job: converts and publishes, and fails as often as it is told to. */
import { FarSide } from './far-side.js'

export const vendor = new (class extends FarSide {
  readonly published = new Map<string, string>()
  call(name: string): void {
    this.called(name)
  }
})()

export async function convert(name: string): Promise<string> {
  vendor.call('convert')
  return `Hello ${name}`
}

export async function publish(text: string, key: string): Promise<void> {
  vendor.call('publish')
  vendor.published.set(key, text)
}
