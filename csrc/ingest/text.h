// Delimited text to columns of ratings. Rows keep file order whatever the number of threads; nothing is allocated per
// row. Cost: the bytes are read twice (lines are counted, then parsed); a file with string ids is parsed twice more.
//
// A field may be surrounded by spaces, or quoted ("..." with doubled quotes) where the separator is one character; it
// never spans lines. With the separator " " a run of spaces separates once. Every line has the same number of fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/lines.h"

namespace fastcf::ingest {

// Which fields of a line mean what; -1: no such field.
struct LogFormat {
    std::string separator;
    int n_fields = 0;
    int user = 0;
    int item = 1;
    int rating = 2;
    int timestamp = -1;
};

// How an id column is read, from the narrowest kind to the widest: as 32-bit or 64-bit integers until a field is not a
// canonical one that fits; then the column is measured (how many characters the longest id has) and read as fixed-width
// strings, so that "0104257" keeps its zeros.
enum class IdMode { narrow, integer, measure, text };

struct IdColumn {
    IdMode mode = IdMode::integer;
    std::int32_t* narrow = nullptr;    // (n,) in mode `narrow`
    std::int64_t* integers = nullptr;  // (n,) in mode `integer`
    char32_t* characters = nullptr;    // (n, width) in mode `text`, padded with NULs
    std::int64_t width = 0;
};

struct LogColumns {
    IdColumn user;
    IdColumn item;
    float* ratings = nullptr;
    std::int64_t* timestamps = nullptr;  // only with format.timestamp >= 0
};

// What a pass over the text found out: the mode that the ids of each column need (where one is wider than the column's,
// the pass stopped early and its output is void), and the width of the columns in mode `measure`.
struct LogPass {
    IdMode user_mode = IdMode::integer;
    IdMode item_mode = IdMode::integer;
    std::int64_t user_width = 0;
    std::int64_t item_width = 0;
};

// One parallel pass over the pieces (numbered by number_lines) of one text; sets every piece's n_rows to the rows it
// filled. Throws ParseError for the first malformed line in file order.
LogPass read_log(const LogFormat& format, std::vector<Piece>& pieces, const LogColumns& columns, int n_threads);

// The fields of one line, unquoted. Throws ParseError (line 0) where a quote is not closed.
std::vector<std::string> split_line(std::string_view line, const std::string& separator);

}  // namespace fastcf::ingest
