// Text cut into pieces at line ends, so that threads share the work and every row still knows its line and its place.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/parallel.h"

namespace fastcf::ingest {

// A line that is not what its format promises. `line` counts from 1 (0: the whole file); `text` is the line, shortened.
struct ParseError : std::runtime_error {
    ParseError(std::int64_t file_, std::int64_t line_, const std::string& problem, std::string_view text_);
    std::int64_t file;
    std::int64_t line;
    std::string text;
};

// Bytes [begin, end) of a text; whole lines. Rows [first_row, first_row + capacity) of the output belong to it, one per
// line; `n_rows` of them are filled in the end.
struct Piece {
    const char* begin = nullptr;
    const char* end = nullptr;
    std::int64_t first_line = 1;
    std::int64_t first_row = 0;
    std::int64_t capacity = 0;
    std::int64_t n_rows = 0;
};

// How often `byte` occurs: a pass at memory speed.
std::int64_t count_byte(const char* begin, const char* end, char byte);

// Cuts [begin, end) after line ends into pieces of about `piece_bytes`; only begin and end are set.
std::vector<Piece> cut_at_lines(const char* begin, const char* end, std::int64_t piece_bytes);

// Numbers the lines of the pieces of one text and gives each line a row. Parallel; returns the number of rows.
std::int64_t number_lines(std::vector<Piece>& pieces, std::int64_t first_line, int n_threads);

// A column of the output seen as bytes, for closing gaps.
struct ColumnBytes {
    void* data;
    std::int64_t row_bytes;
};

// Moves the filled rows of all pieces together, in order, and returns their number. `first_rows` are where the pieces
// wrote. Costs nothing where no piece fell short of its line count.
std::int64_t close_gaps(const std::vector<Piece>& pieces, const std::vector<ColumnBytes>& columns);

// The line [begin, end) found at `cursor`, without its line end; moves `cursor` past it.
inline std::string_view next_line(const char*& cursor, const char* end) {
    const char* begin = cursor;
    const std::string_view rest(begin, static_cast<std::size_t>(end - begin));
    const std::size_t newline = rest.find('\n');
    std::string_view line = rest.substr(0, newline);
    cursor = newline == std::string_view::npos ? end : begin + newline + 1;
    while (!line.empty() && line.back() == '\r') line.remove_suffix(1);  // two, where CRLF was written as text
    return line;
}

// Runs body(task, thread) for all tasks and returns the ParseError of the first task that threw one, whatever the
// number of threads: tasks are handed out in order, so those before a bad one always run.
template <class Body>
std::optional<ParseError> parallel_first_error(std::int64_t n_tasks, int n_threads, Body&& body) {
    std::vector<std::optional<ParseError>> errors(static_cast<std::size_t>(n_tasks));
    std::atomic<std::int64_t> first_bad{n_tasks};
    parallel_for(n_tasks, n_threads, [&](std::int64_t i, int thread) {
        if (i > first_bad.load(std::memory_order_relaxed)) return;
        try {
            body(i, thread);
        } catch (const ParseError& error) {
            errors[static_cast<std::size_t>(i)] = error;
            std::int64_t bad = first_bad.load();
            while (i < bad && !first_bad.compare_exchange_weak(bad, i)) {
            }
        }
    });
    if (first_bad.load() == n_tasks) return std::nullopt;
    return errors[static_cast<std::size_t>(first_bad.load())];
}

}  // namespace fastcf::ingest
