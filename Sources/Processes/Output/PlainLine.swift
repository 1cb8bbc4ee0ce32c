/// The lines of a ``PlainText``, of which the last can be edited.
///
/// A row that is only appended to goes straight into the text. As soon as something moves within
/// it, it is taken back into cells, one for each column, where every edit takes constant time.
///
/// The text never has more bytes than the output from which it is made: a column comes into being
/// by a character, or by a byte of a sequence that moves. What it holds in the end is the last
/// character written there, with that character's own bytes, or else a blank, for which the byte
/// that made the column stands.
struct PlainLine: ~Copyable {
  /// The columns of a row.
  let columns: Int
  /// The number of bytes of the whole output.
  private let limit: Int

  private var text: [UInt8] = []
  /// Where the row begins in the text. In the cells of an edited row are all characters behind it.
  private var rowStart = 0
  private var isEdited = false

  /// The characters of an edited row: the bytes of each, the first in the lowest bits.
  private var cells: [UInt32] = []
  /// Where the next character goes in an edited row. It may be behind the cells.
  private var column = 0
  /// The columns that the edited row has come to have, even if they are erased.
  private var extent = 0

  private static let blank = UInt32(UInt8(ascii: " "))

  /// - Parameter limit: The most bytes that will be appended.
  init(limit: Int, columns: Int) {
    precondition(columns > 0, "a row needs a column")
    self.limit = limit
    self.columns = columns
    text.reserveCapacity(limit)
  }

  /// Ends the last line without a line feed, and returns the text.
  consuming func finish() -> [UInt8] {
    closeRow()
    return text
  }

  // MARK: Writing

  mutating func append(ascii: borrowing Span<UInt8>) {
    var start = 0
    while isEdited, start < ascii.count {
      append(UInt32(ascii[start]))
      start += 1
    }
    guard start < ascii.count else { return }
    unsafe ascii.extracting(start...).withUnsafeBufferPointer { unsafe text.append(contentsOf: $0) }
  }

  /// Appends a character: its bytes, the first in the lowest bits.
  mutating func append(_ character: UInt32) {
    // The row is full, so that the character begins the next one.
    if isEdited, column == columns { closeRow() }
    guard isEdited else { return write(character) }
    while cells.count < column { cells.append(Self.blank) }
    if column < cells.count { cells[column] = character } else { cells.append(character) }
    column += 1
    extent = max(extent, column)
  }

  private mutating func write(_ character: UInt32) {
    var rest = character
    repeat {
      text.append(UInt8(truncatingIfNeeded: rest))
      rest >>= 8
    } while rest != 0
  }

  /// Ends the line.
  mutating func end() {
    closeRow()
    text.append(UInt8(ascii: "\n"))
    rowStart = text.count
  }

  /// Ends the line if there is anything in its row.
  mutating func leave() {
    if isEdited ? !cells.isEmpty : text.count > rowStart { end() } else { closeRow() }
  }

  // MARK: Editing

  /// Moves to a column.
  ///
  /// - Parameter beyond: The most columns to move beyond those that the row has.
  mutating func move(to target: Int, atMost beyond: Int = 0) {
    // At the beginning of a row that is empty, most moves lead nowhere.
    if !isEdited, text.count == rowStart, target <= 0 || beyond == 0 { return }
    edit()
    column = max(0, min(target, columns, extent + beyond))
    extent = max(extent, column)
  }

  /// Moves by a number of columns, to the left if it is negative.
  mutating func move(by distance: Int, atMost beyond: Int = 0) {
    if !isEdited, text.count == rowStart, distance < 0 { return }
    edit()
    move(to: column + distance, atMost: beyond)
  }

  /// Erases from the column to the end of the row (0), from the beginning to the column (1), or the
  /// row (2). Does nothing for another number.
  mutating func erase(_ part: Int) {
    // Nothing is to the right of a row that is only appended to.
    guard isEdited || part == 1 || part == 2 else { return }
    edit()
    switch part {
    case 0 where column < cells.count:
      cells.removeLast(cells.count - column)
    case 1 where column + 1 < cells.count:
      for index in 0...column { cells[index] = Self.blank }
    case 1, 2:
      cells.removeAll(keepingCapacity: true)
    default:
      break
    }
  }

  /// Takes the row back from the text into cells.
  private mutating func edit() {
    if isEdited { return }
    isEdited = true
    cells.reserveCapacity(min(columns, limit))
    var index = rowStart
    while index < text.count {
      if cells.count == columns {
        cells.removeAll(keepingCapacity: true)
        rowStart = index
      }
      var character = UInt32(text[index])
      let length = max((~text[index]).leadingZeroBitCount, 1)
      for place in 1..<length { character |= UInt32(text[index + place]) << (8 * place) }
      cells.append(character)
      index += length
    }
    text.removeLast(text.count - rowStart)
    (column, extent) = (cells.count, cells.count)
  }

  /// Puts the cells of an edited row into the text. The next row begins behind them.
  private mutating func closeRow() {
    guard isEdited else { return }
    for character in cells { write(character) }
    cells.removeAll(keepingCapacity: true)
    rowStart = text.count
    isEdited = false
  }
}
