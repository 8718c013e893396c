// Bulk parsing of the plainest logs: a one-character separator, as many fields as there are columns to read, integers
// and short decimals without quotes or spaces; any order of the columns.
//
// Finding a field's end and reading its digits one after the other is a chain of dependent steps, some sixty cycles a
// row. So the ends of all fields of a block are found first.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "ingest/field_ends.h"
#include "ingest/fields.h"
#include "ingest/text.h"
#include "ingest/text_kernels.h"

namespace fastcf::ingest {

class PlainRows {
  public:
    explicit PlainRows(const LogFormat& format)
        : separator_(format.dialect.separator[0]),
          n_fields_(format.n_fields),
          user_(format.user),
          item_(format.item),
          rating_(format.rating),
          timestamp_(format.timestamp),
          ends_(separator_, n_fields_) {}

    static bool can_read(const LogFormat& format) {
        return format.dialect.separator.size() == 1 && format.rating >= 0 && format.decimal == '.' &&
               format.n_fields == (format.timestamp >= 0 ? 4 : 3);
    }

    FieldEnds& ends() { return ends_; }

    // Reads rows of the block until one is not plain, begins at or after `piece_end`, or `limit` are read; returns how
    // many were. `timestamps` may be null.
    template <class Integer>
    std::int64_t take_rows(const char* piece_end, std::int64_t limit, Integer* users, Integer* items, float* ratings,
                           std::int64_t* timestamps) {
        const bool usual_order = user_ == 0 && item_ == 1 && rating_ == 2;
        const auto take_them =
            timestamp_ < 0 ? (usual_order ? &PlainRows::take<3, true, Integer> : &PlainRows::take<3, false, Integer>)
                           : (usual_order ? &PlainRows::take<4, true, Integer> : &PlainRows::take<4, false, Integer>);
        std::int64_t row = 0;
        const auto rest = [&] {
            return PlainColumns<Integer>{users + row, items + row, ratings + row,
                                         timestamps == nullptr ? nullptr : timestamps + row};
        };
        const auto read_rows = together<Integer>();
        if (read_rows == nullptr) return (this->*take_them)(piece_end, limit, rest());
        for (std::int64_t singles = 0, read = 0; read == singles; row += read) {
            row += take_together(read_rows, piece_end, limit - row, rest());
            singles = std::min(kSingles, limit - row);
            read = (this->*take_them)(piece_end, singles, rest());
            if (read == 0) break;
        }
        return row;
    }

  private:
    static constexpr std::int64_t kSingles = 8;  // rows read one by one where several at a time were not plain

    template <class Integer>
    static auto together() {
        const TextKernels& kernels = FASTCF_SELECT_ISA(text_kernels);
        if constexpr (sizeof(Integer) == 4)
            return kernels.read_rows_narrow;
        else
            return kernels.read_rows;
    }

    // Rows that the instruction set reads several at a time. Not the first of a block: the byte before it may be before
    // the text.
    template <class ReadRows, class Integer>
    std::int64_t take_together(ReadRows read_rows, const char* piece_end, std::int64_t limit,
                               const PlainColumns<Integer>& out) {
        if (ends_.at_block_begin()) return 0;
        const std::uint32_t* const ends = ends_.before();
        const auto size = static_cast<std::uint32_t>(std::min(piece_end - ends_.base(), FieldEnds::kBlock));
        const std::uint32_t* const stop = std::lower_bound(ends + 1, ends_.last() + 1, size);
        const std::int64_t n = std::min<std::int64_t>(limit, (stop - ends - 1) / n_fields_);
        const PlainLayout layout{separator_, n_fields_, user_, item_, rating_, timestamp_};
        const std::int64_t taken = read_rows(ends_.base(), ends, n, layout, out);
        ends_.go_to(ends + taken * n_fields_);
        return taken;
    }

    template <int kFields, bool kUsualOrder, class Integer>
    std::int64_t take(const char* piece_end, std::int64_t limit, const PlainColumns<Integer>& out) {
        const std::uint32_t* before = ends_.before();
        const std::uint32_t* const last = ends_.last_row();
        const char* const base = ends_.base();
        const char separator = separator_;
        const int user_field = kUsualOrder ? 0 : user_;
        const int item_field = kUsualOrder ? 1 : item_;
        const int rating_field = kUsualOrder ? 2 : rating_;
        const int timestamp_field = kUsualOrder ? 3 : timestamp_;
        std::uint64_t known_text = 0;  // of the user before, eight digits and its length: files are often by user
        Integer known_user = 0;
        std::int64_t row = 0;
        for (; row < limit && before <= last && ends_.field_begin(before[0]) < piece_end; ++row, before += kFields) {
            bool usual = base[before[kFields]] == '\n';
            for (int f = 1; f < kFields; ++f) usual &= base[before[f]] == separator;
            // The last field of a line may end in a carriage return.
            const std::uint32_t line_end = before[kFields] - (base[before[kFields] - 1] == '\r' ? 1 : 0);
            const auto field = [&](int f) {
                return std::pair(
                    ends_.field_begin(before[f]),
                    static_cast<std::int32_t>((f + 1 == kFields ? line_end : before[f + 1]) - before[f]) - 1);
            };
            std::int64_t user, item, timestamp = 0;
            float rating = 0.0F;
            const auto [user_begin, user_size] = field(user_field);
            const std::uint64_t text = short_text(user_begin, user_size);
            if (text == known_text && text != 0) {
                user = known_user;
            } else {
                usual &= plain_integer(user_begin, user_size, user);
                known_text = text;
                known_user = static_cast<Integer>(user);
                usual &= known_user == user;
            }
            const auto [item_begin, item_size] = field(item_field);
            usual &= plain_integer(item_begin, item_size, item);
            usual &= static_cast<Integer>(item) == item;
            const auto [rating_begin, rating_size] = field(rating_field);
            usual &= plain_decimal(rating_begin, rating_size, rating);
            if constexpr (kFields == 4) {
                const auto [timestamp_begin, timestamp_size] = field(timestamp_field);
                usual &= plain_integer(timestamp_begin, timestamp_size, timestamp);
            }
            if (!usual) break;
            out.users[row] = static_cast<Integer>(user);
            out.items[row] = static_cast<Integer>(item);
            out.ratings[row] = rating;
            if constexpr (kFields == 4) out.timestamps[row] = timestamp;
        }
        ends_.go_to(before);
        return row;
    }

    // A field of 1 to 7 characters, and how many they are, as a number that tells it from all others; 0 for any other
    // field.
    static std::uint64_t short_text(const char* begin, std::int32_t n) {
        return n >= 1 && n <= 7 ? load8(begin) << (8 * (8 - n)) | static_cast<std::uint64_t>(n) : 0;
    }

    char separator_;
    int n_fields_;
    int user_;
    int item_;
    int rating_;
    int timestamp_;
    FieldEnds ends_;
};

}  // namespace fastcf::ingest
