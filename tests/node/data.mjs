// What is published in these tests. A client gives every line end in data as LF (HTML standard, 9.2.6).

/** Code points of every plane: its first and last that is no noncharacter or surrogate. */
function allPlanes() {
  const points = [0x20, 0x7e, 0x80, 0xa0, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfeff, 0xfffd]
  for (let plane = 1; plane <= 16; plane++) points.push(plane * 0x10000, plane * 0x10000 + 0xfffd)
  return String.fromCodePoint(...points)
}

const limit = 255
/** 255 bytes of UTF-8 that are not 255 characters. */
const wide = 'é'.repeat(127) + 'x'

export const cases = [
  { title: 'plain text', data: 'hello' },
  { title: 'empty data', data: '' },
  { title: 'LF', data: 'one\ntwo\n\nthree' },
  { title: 'CR', data: 'one\rtwo\r\rthree', received: 'one\ntwo\n\nthree' },
  { title: 'CRLF', data: 'one\r\ntwo\r\n\r\nthree', received: 'one\ntwo\n\nthree' },
  { title: 'mixed line ends', data: 'a\n\rb\r\n\nc', received: 'a\n\nb\n\nc' },
  { title: 'line ends only', data: '\n\n' },
  { title: 'a line end at the start and at the end', data: '\nmiddle\n' },
  { title: 'leading spaces', data: '  two spaces\n one' },
  { title: 'what looks like fields', data: 'data: x\nid: 7\nevent: fake\nretry: 1\n: comment\n\ndata: y' },
  { title: 'UTF-8 of all planes', data: allPlanes() },
  { title: 'a byte order mark first', data: '\ufeffafter the mark' },
  { title: '1 MiB of one line', data: 'x'.repeat(1 << 20) },
  { title: '1 MiB of short lines', data: 'line\n'.repeat((1 << 20) / 5) },
  { title: 'a name at its limit', data: 'named', event: 'n'.repeat(limit) },
  { title: 'a name at its limit in UTF-8', data: 'named', event: wide },
  { title: 'an id at its limit', data: 'identified', id: 'i'.repeat(limit) },
  { title: 'an id at its limit in UTF-8', data: 'identified', id: wide },
]
