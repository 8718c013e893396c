// Delimited text to columns of ratings. Rows keep file order whatever the number of threads; nothing is allocated per
// row. Cost: the bytes are read twice (lines are counted, then parsed). Where an id column is other than it seemed, the
// pass stops there and begins again; and where a quoted field goes on in the next line, after a serial pass that looks
// where records end.
//
// A field may be surrounded by spaces. With the separator " " a run of spaces separates once. Every record has the same
// number of fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/lines.h"
#include "ingest/split.h"
#include "ingest/text_ids.h"

namespace fastcf::ingest {

// What the columns are called in messages.
struct ColumnNames {
    std::string user = "user id";
    std::string item = "item id";
    std::string rating = "rating";
};

// Which fields of a record mean what (-1: no such field), and how their values are written.
struct LogFormat {
    Dialect dialect;
    int n_fields = 0;
    int user = 0;
    int item = 1;
    int rating = 2;  // -1: every rating is 1
    int timestamp = -1;
    char decimal = '.';                // of ratings
    std::vector<std::string> missing;  // ratings written like this are NaN
    ColumnNames names;
    std::string header;       // a line that repeats it is malformed; empty: there is none
    bool keep_going = false;  // leave malformed records out, and count them
    bool by_record = false;   // pieces were cut by cut_at_records
};

// What the caller says that the ids of a column are. `any`: integers where all of them are canonical ones.
enum class IdType { any, integer, text };

// How an id column is read, from the narrowest kind to the widest: as 32-bit or 64-bit integers until a field is not a
// canonical one that fits; then as texts, so that "0104257" keeps its zeros.
enum class IdMode { narrow, integer, text };

struct IdColumn {
    IdType type = IdType::any;
    IdMode mode = IdMode::integer;
    std::int32_t* narrow = nullptr;    // (n,) in mode `narrow`
    std::int64_t* integers = nullptr;  // (n,) in mode `integer`
    std::int32_t* codes = nullptr;     // (n,) in mode `text`
};

struct LogColumns {
    IdColumn user;
    IdColumn item;
    float* ratings = nullptr;
    std::int64_t* timestamps = nullptr;  // only with format.timestamp >= 0; numbers as written, dates in seconds
};

// What a pass over the text found out: the mode that the ids of each column need (where one is wider than the column's,
// the pass stopped early and its output is void), and, of columns in mode `text`, the distinct ids, ascending, which
// the codes number. Where a field goes on in the next line, `spans_lines` asks for pieces cut by cut_at_records, and
// the output is void, too.
struct LogPass {
    IdMode user_mode = IdMode::integer;
    IdMode item_mode = IdMode::integer;
    TextTable users;
    TextTable items;
    bool spans_lines = false;
    bool has_dates = false;            // some timestamp is a date
    std::int64_t timestamp_bits = 0;   // all timestamps, or-ed: tells cheaply that they are not negative and how large
    std::int64_t n_left_out = 0;       // malformed records, with format.keep_going
    std::vector<ParseError> left_out;  // the first of them
};

inline constexpr std::size_t kMostReported = 10;  // malformed records that are described

// One parallel pass over the pieces (numbered by number_lines) of one text; sets every piece's n_rows to the rows it
// filled. Throws ParseError for the first malformed line in file order.
LogPass read_log(const LogFormat& format, std::vector<Piece>& pieces, const LogColumns& columns, int n_threads);

}  // namespace fastcf::ingest
