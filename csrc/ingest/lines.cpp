#include "ingest/lines.h"

#include <algorithm>
#include <cstring>

#include "ingest/text_kernels.h"

namespace fastcf::ingest {

namespace {

constexpr std::size_t kLongestText = 200;

std::string shortened(std::string_view text) {
    if (text.size() <= kLongestText) return std::string(text);
    std::size_t size = kLongestText;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;  // not inside a character
    return std::string(text.substr(0, size)) + "...";
}

}  // namespace

ParseError::ParseError(std::int64_t file_, std::int64_t line_, const std::string& problem, std::string_view text_)
    : std::runtime_error(shortened(problem)), file(file_), line(line_), text(shortened(text_)) {}

std::int64_t count_byte(const char* begin, const char* end, char byte) {
    return FASTCF_SELECT_ISA(text_kernels).count_byte(begin, end - begin, byte);
}

std::vector<Piece> cut_at_lines(const char* begin, const char* end, std::int64_t piece_bytes) {
    std::vector<Piece> pieces;
    while (begin < end) {
        const char* stop = end;
        if (end - begin > piece_bytes) {
            const char* from = begin + piece_bytes - 1;
            const void* newline = std::memchr(from, '\n', static_cast<std::size_t>(end - from));
            if (newline != nullptr) stop = static_cast<const char*>(newline) + 1;
        }
        Piece piece;
        piece.begin = begin;
        piece.end = stop;
        pieces.push_back(piece);
        begin = stop;
    }
    return pieces;
}

std::int64_t number_lines(std::vector<Piece>& pieces, std::int64_t first_line, int n_threads) {
    parallel_for(static_cast<std::int64_t>(pieces.size()), n_threads, [&](std::int64_t i, int) {
        Piece& piece = pieces[static_cast<std::size_t>(i)];
        piece.capacity = count_byte(piece.begin, piece.end, '\n') + (piece.end[-1] != '\n' ? 1 : 0);
    });
    std::int64_t row = 0;
    for (Piece& piece : pieces) {
        piece.first_row = row;
        piece.first_line = first_line + row;
        row += piece.capacity;
    }
    return row;
}

std::int64_t close_gaps(const std::vector<Piece>& pieces, const std::vector<ColumnBytes>& columns) {
    std::int64_t row = 0;
    for (const Piece& piece : pieces) {
        if (row != piece.first_row) {
            for (const ColumnBytes& column : columns) {
                auto* data = static_cast<char*>(column.data);
                std::memmove(data + row * column.row_bytes, data + piece.first_row * column.row_bytes,
                             static_cast<std::size_t>(piece.n_rows * column.row_bytes));
            }
        }
        row += piece.n_rows;
    }
    return row;
}

}  // namespace fastcf::ingest
