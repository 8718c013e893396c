// The layout of the Netflix Prize: a line "movie:" and below it that movie's lines, "customer,rating,date" in the
// training set, "customer,date" in qualifying.txt, "customer" in probe.txt; one movie per file (mv_0000001.txt) or
// many (combined_data_1.txt). Rows keep the order of the sources and of their lines. Cost: every byte is read twice.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingest/lines.h"

namespace fastcf::ingest {

// A text in memory, or the path of a small file that the threads read themselves.
struct NetflixSource {
    const char* begin = nullptr;
    const char* end = nullptr;
    std::string path;

    bool is_file() const { return begin == nullptr; }
};

// Whole lines of one source. `movie` is the heading in force where the piece begins, 0 where there is none yet.
struct NetflixPiece {
    std::int64_t source = 0;
    std::int64_t movie = 0;
    Piece piece;
};

struct NetflixColumns {
    std::int32_t* users = nullptr;
    std::int32_t* items = nullptr;
    float* ratings = nullptr;            // with 3 fields
    std::int64_t* timestamps = nullptr;  // with 2 or 3: Unix seconds at midnight UTC
};

// Cuts the sources into pieces, numbers their lines and gives every line but headings a row; returns the number of
// rows.
std::int64_t plan_netflix(const std::vector<NetflixSource>& sources, std::int64_t piece_bytes, int n_threads,
                          std::vector<NetflixPiece>& pieces);

// Parses `n_fields` (1, 2 or 3) per line into the columns and closes the gaps of blank lines; returns the number of
// rows. Throws ParseError for the first malformed line in the order of the sources.
std::int64_t read_netflix(const std::vector<NetflixSource>& sources, int n_fields, std::vector<NetflixPiece>& pieces,
                          const NetflixColumns& columns, int n_threads);

}  // namespace fastcf::ingest
