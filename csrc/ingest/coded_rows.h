// Bulk parsing of logs whose users or items are texts: a one-character separator, any number of fields without quotes
// and outer spaces, plain ratings and timestamps (see fields.h).
//
// A text is looked up in the dictionary of its thread. That is a hash and two dependent memory accesses, to the slot
// and to the text; for 32 rows at a time they are all on the way before the first is waited for. The user of the row
// before is not looked up again: files are often by user. bench_text.py --ids strings measures it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "ingest/field_ends.h"
#include "ingest/line_parser.h"
#include "ingest/text.h"
#include "ingest/text_ids.h"

namespace fastcf::ingest {

inline constexpr int kRowsAtOnce = 32;

// An id column of texts: the codes of a dictionary.
class CodeSink {
  public:
    CodeSink(TextDictionary& texts, IdType type, std::int32_t* out) : texts_(texts), type_(type), out_(out) {}

    // Notes the text of the k-th row of a few.
    bool take(const char* begin, std::int32_t n, int k, std::int64_t) {
        if (n < 1) return false;
        const auto is_outer = [](char c) { return c == ' ' || c == '\t' || c == '"' || c == '\r'; };
        if (is_outer(begin[0]) || is_outer(begin[n - 1])) return false;
        const auto size = static_cast<std::size_t>(n);
        fields_[k] = {begin, size};
        again_[k] = k > 0 && fields_[k - 1].size() == size && same_bytes(fields_[k - 1].data(), begin, size);
        if (again_[k]) return true;
        hashes_[k] = hash_text(fields_[k]);
        texts_.slots().prefetch(hashes_[k]);
        return true;
    }

    void come_closer(int k) const {
        if (!again_[k]) texts_.slots().prefetch_text(hashes_[k], texts_.texts());
    }

    // Finds the code of the k-th row; false where its text cannot be an id.
    bool find(int k) {
        if (again_[k]) return true;
        code_ = texts_.find(fields_[k], hashes_[k]);
        return code_ >= 0 || is_id_text(fields_[k], type_);
    }

    void store(int k, std::int64_t row) {
        if (code_ < 0) code_ = texts_.insert(fields_[k], hashes_[k]);
        out_[row] = code_;
    }

  private:
    TextDictionary& texts_;
    IdType type_;
    std::int32_t* out_;
    std::string_view fields_[kRowsAtOnce];
    std::uint64_t hashes_[kRowsAtOnce];
    bool again_[kRowsAtOnce];
    std::int32_t code_ = -1;
};

// An id column of integers.
template <class Integer>
class IntegerSink {
  public:
    explicit IntegerSink(Integer* out) : out_(out) {}

    bool take(const char* begin, std::int32_t n, int, std::int64_t row) {
        std::int64_t value = 0;
        if (!plain_integer(begin, n, value) || static_cast<Integer>(value) != value) return false;
        out_[row] = static_cast<Integer>(value);
        return true;
    }
    void come_closer(int) const {}
    bool find(int) const { return true; }
    void store(int, std::int64_t) const {}

  private:
    Integer* out_;
};

class CodedRows {
  public:
    explicit CodedRows(const LogFormat& format)
        : format_(format), ends_(format.dialect.separator[0], format.n_fields) {}

    static bool can_read(const LogFormat& format) {
        const Dialect& dialect = format.dialect;
        return dialect.separator.size() == 1 && dialect.escape == '\0' && format.rating >= 0 && format.decimal == '.';
    }

    FieldEnds& ends() { return ends_; }

    // Reads rows of the block until one is not plain, begins at or after `piece_end`, or `limit` are read; returns how
    // many were.
    template <class Users, class Items>
    std::int64_t take_rows(const char* piece_end, std::int64_t limit, Users users, Items items, float* ratings,
                           std::int64_t* timestamps) {
        std::int64_t row = 0;
        for (bool plain = true; plain && row < limit;) {
            const std::uint32_t* before = ends_.before();
            const auto most = static_cast<int>(std::min<std::int64_t>(kRowsAtOnce, limit - row));
            int n = 0;
            for (; n < most && before <= ends_.last_row() && ends_.field_begin(before[0]) < piece_end; ++n) {
                plain = take_row(before, n, row + n, users, items, ratings, timestamps);
                if (!plain) break;
                before += format_.n_fields;
            }
            plain &= n == most;  // else the block or the piece is at its end
            for (int k = 0; k < n; ++k) {
                users.come_closer(k);
                items.come_closer(k);
            }
            int k = 0;
            for (; k < n && users.find(k) && items.find(k); ++k) {  // both, before either is stored
                users.store(k, row + k);
                items.store(k, row + k);
            }
            plain &= k == n;
            ends_.go_to(ends_.before() + static_cast<std::int64_t>(k) * format_.n_fields);
            row += k;
        }
        return row;
    }

  private:
    template <class Users, class Items>
    bool take_row(const std::uint32_t* before, int k, std::int64_t row, Users& users, Items& items, float* ratings,
                  std::int64_t* timestamps) {
        const char* const base = ends_.base();
        const int n_fields = format_.n_fields;
        const char separator = format_.dialect.separator[0];
        const std::uint32_t line_end = before[n_fields] - (base[before[n_fields] - 1] == '\r' ? 1 : 0);
        const auto begin = [&](int f) { return ends_.field_begin(before[f]); };
        const auto size = [&](int f) {
            return static_cast<std::int32_t>((f + 1 == n_fields ? line_end : before[f + 1]) - before[f]) - 1;
        };
        bool plain = base[before[n_fields]] == '\n';
        for (int f = 1; f < n_fields; ++f) plain &= base[before[f]] == separator;
        for (int f = 0; f < n_fields; ++f) {  // where quotes and spaces need thought
            const char first = *begin(f);
            plain &= first != '"' && first != ' ' && (first != '\t' || separator == '\t') &&
                     (size(f) > 0 || separator != ' ');
        }
        if (!plain) return false;
        const std::string& comment = format_.dialect.comment;
        const auto line = static_cast<std::size_t>(base + line_end - begin(0));
        if (!comment.empty() && std::string_view(begin(0), line).starts_with(comment)) return false;
        if (!users.take(begin(format_.user), size(format_.user), k, row)) return false;
        if (!items.take(begin(format_.item), size(format_.item), k, row)) return false;
        if (!plain_decimal(begin(format_.rating), size(format_.rating), ratings[row])) return false;
        return timestamps == nullptr ||
               plain_integer(begin(format_.timestamp), size(format_.timestamp), timestamps[row]);
    }

    LogFormat format_;
    FieldEnds ends_;
};

}  // namespace fastcf::ingest
