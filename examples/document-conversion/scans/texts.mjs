// What stands on the sample scans, and a list of plain words for pages drawn at run time. All of it is made up; it must
// never hold a real person's letter.

export const letters = [
  `Dear Mrs Arkwright,

You asked me to copy the letters in the blue trunk, and to tell you when it is done. I have begun. There are forty of them, and some are in a poor state.

I will not trouble you with every torn corner. When the last page is copied I shall write once more.`,
  `The second letter was folded so often that it lay on the glass in two halves, the upper one first and the lower one after it.

My first reader looks for one whole sheet and would not touch it. So I gave it to the second reader, who is slower and takes anything. He read it through without a seam, as you can see for yourself.`,
  `In the middle of the third letter the lamp went out and the pen fell to the floor.

That is why this page was begun twice. The two pages before it were already dry and lay in the folder, so nobody had to copy them again.`,
  `The fourth letter reached me by the old machine at the post office. Its lines are coarse.

I could read it all the same, but you should know that it was so.`,
  `This is the last letter. As many pages have come out of the trunk as went into it: I counted them twice, on the way in and on the way out.

Your copies are ready, Mrs Arkwright.

Yours faithfully,
J. Pell, copyist`,
]

export const clean = [
  `Dear Ms Holloway,

Thank you for the forty-two boxes that reached our reading room on Monday. Every box was counted twice, and every page inside was laid flat before it went under the glass.

Box 17 holds the letters of 1894 to 1903. Nobody had opened it since the flood, so the pages stuck together and took three days to part. We lost none of them.

The work will take until the end of October. When it is done we will tell you accurately, page by page, what could be read and what could not. Until then we keep trying.

Yours sincerely,
R. Achterberg, keeper of records`,
  `Second sheet

The cost is 1,250 for the boxes and 310 for the plates. Half is due when the work begins, and the other half when you have the last page in your hands.

If a plate breaks we make it again at our own expense. If a page cannot be read by the first reader, a second reader takes it, and we note on the cover which of them it was.

Please keep the numbers on the boxes as they are. They follow the old shelf list, and the shelf list is all that is left of the catalogue.

Copies to: the county library, the harbour office, and Mr Quill at the museum.`,
]

export const skewedNoisy = [
  `Harbour office, copy of a copy

The night watch saw a light at half past two, a little to the south of the old mole. It moved slowly and went out before the boat could be manned.

At four the wind turned and the sea came over the wall. Two nets and a ladder were carried off. The lamp held.

In the morning the crew found planks on the beach, painted green, and a chest with a brass lock. The chest is in the store room. Nobody has asked for it.`,
  `Harbour office, second page

The green planks were shown to the builder, who knew them at once. They come from the ferry that was laid up last autumn and should have been broken in the spring.

The owner says that he sold her. The buyer says that he never took her away. Both were asked to come on Thursday with their papers.

Until then the chest stays closed, the lamp stays lit, and the watch is doubled.`,
]

const WHO = ['the carter', 'the miller', 'Widow Hanley', 'the smith', 'two masons', 'the school', 'a traveller']
const DID = ['brought', 'bought', 'borrowed', 'returned', 'repaired', 'counted', 'ordered']
const WHAT = ['sacks of barley', 'lengths of rope', 'oak boards', 'iron hoops', 'barrels of tar', 'window panes']
const THEN = ['Paid in full.', 'To be paid at harvest.', 'Nothing is owed.', 'One was broken and sent back.']
const DAY = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

/** A ledger of so many pages. @param {number} count @param {() => number} next */
export function ledger(count, next) {
  const one = (/** @type {string[]} */ list) => list[Math.floor(next() * list.length)]
  return Array.from({ length: count }, (_, index) => {
    const entries = Array.from({ length: 8 }, () => {
      return `On ${one(DAY)} ${one(WHO)} ${one(DID)} ${12 + Math.floor(next() * 87)} ${one(WHAT)}. ${one(THEN)}`
    })
    return `Ledger of the mill, page ${index + 1} of ${count}\n\n${entries.join('\n')}`
  })
}

export const twoStrips = [
  `The first page came through the feeder in one piece.

It is a single picture, as tall as the page, and any reader can lift it out.`,
  `The second page was too long for the glass.

So the machine took it in two strips, the upper half first and the lower half after it, and laid one below the other in the file. A reader that looks for a single picture finds two, and has to leave the page alone.

A reader that draws the page as a whole sees no seam at all. The words run on from the upper strip to the lower one, and this paragraph is long enough to lie on both sides of the cut, so that nothing may be lost there.

Here ends the second page.`,
]

export const lowResolution = [
  `Sent by an old fax machine

The lines are coarse but the letters are large. The shipment left on the ninth with all thirty crates and should arrive within the week. Please confirm by return.`,
]

export const locked = ['This page is for the keeper of the key and for nobody else.']

export const notAPdf = `This file is called a PDF and is none. It is plain text, renamed by somebody in a hurry.
`

export const WORDS = (
  'able account acorn across advice agent allow amber anchor animal answer apple april arrive august autumn basket ' +
  'battle beacon become bench bicycle blanket border bottle branch bridge bright broken bucket burden butter cabin ' +
  'candle carpet castle cedar chapter cheese choice circle clever cloud coffee column common copper corner cotton ' +
  'country courage credit crystal current danger debate decide desert dinner doctor double dragon drawer eager early ' +
  'earth editor effort eleven energy engine evening every famous farmer father feather fifteen figure finger finish ' +
  'flower forest fortune fourteen freedom friend garden gather gentle giant ginger glass golden gravel ground guitar ' +
  'hammer handle harbour harvest hazel helmet hidden hollow honest horizon hundred island ivory jacket journey judge ' +
  'kettle keyboard kingdom kitchen ladder lantern laundry leather lemon letter library limit linen liquid little ' +
  'machine maple marble market master meadow measure member memory metal middle mineral mirror modern moment monday ' +
  'morning mountain museum napkin narrow nature nephew ninety noble normal notice number object ocean office orange ' +
  'orchard packet palace paper parcel pattern pencil people pepper permit picture pillow planet pocket poetry powder ' +
  'present prince problem purple puzzle quarter quiet quill rabbit railway rapid reason record region remember report ' +
  'ribbon river rocket saddle salmon sample school season second secret senate seven shadow silver simple sister ' +
  'sketch soldier source spider spring square station stone story stream student sudden summer sunday supper surface ' +
  'system table target teacher temple thirty thunder ticket timber tomato tower travel treaty tunnel twelve twenty ' +
  'under unit valley velvet vessel village violet visit voyage wagon walnut water wealth weather wedding welcome ' +
  'western whisper window winter wisdom wonder wooden yellow young zebra'
).split(' ')

/** Sentences of words drawn by chance, with a few numbers. @param {number} count @param {() => number} next */
export function drawSentences(count, next) {
  const sentences = []
  for (let left = count; left > 0; ) {
    const length = Math.min(left, 6 + Math.floor(next() * 6))
    const words = Array.from({ length }, () => {
      return next() < 0.06 ? String(100 + Math.floor(next() * 8900)) : WORDS[Math.floor(next() * WORDS.length)]
    })
    words[0] = words[0][0].toUpperCase() + words[0].slice(1)
    sentences.push(words.join(' ') + '.')
    left -= length
  }
  return sentences.join(' ')
}
