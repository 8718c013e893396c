// Where a record of a text ends: at the end of its line, unless a quoted field or an escaped line end goes on.
//
// Cost: a line without quotes and escapes is looked through twice at memory speed; others field by field.
#pragma once

#include <vector>

#include "ingest/lines.h"
#include "ingest/split.h"

namespace fastcf::ingest {

// A stray quote must not make one record of a whole file.
inline constexpr std::int64_t kLongestRecord = 1 << 20;

class RecordReader {
  public:
    explicit RecordReader(const Dialect& dialect) : dialect_(dialect), spans_(dialect.spans_lines()) {}

    // The record at `cursor`, without its line end; moves `cursor` past it and sets n_lines. Where quotes do not close
    // as they should within kLongestRecord bytes, or before `end`, the record is one line, which no splitter accepts.
    std::string_view next(const char*& cursor, const char* end);

    std::int64_t n_lines = 1;  // of the record that came last

  private:
    const char* end_of_record(const char* begin, const char* end) const;

    const Dialect& dialect_;
    bool spans_;
};

// As cut_at_lines, at the ends of records.
std::vector<Piece> cut_at_records(const Dialect& dialect, const char* begin, const char* end, std::int64_t piece_bytes);

// A record of a small table: its fields, where it begins and ends, and the number of its first line.
struct Record {
    std::vector<std::string> fields;
    std::int64_t line = 0;
    std::int64_t begin = 0;
    std::int64_t end = 0;
};

// The next record that is neither blank nor a comment; false at the end of the text. `line` counts along. Throws
// ParseError for one that cannot be split, with the cursor past it.
bool next_record(const Dialect& dialect, const char* text, const char*& cursor, const char* end, std::int64_t& line,
                 Record& record);

}  // namespace fastcf::ingest
