// Where the fields of a block of text end, found 64 characters at a time by comparing them with separator and line end
// at once: reading the digits between known ends then overlaps from row to row.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "ingest/fields.h"
#include "ingest/text_kernels.h"

namespace fastcf::ingest {

class FieldEnds {
  public:
    static constexpr std::int64_t kBlock = 1 << 13;

    FieldEnds(char separator, int n_fields)
        : separator_(separator), n_fields_(n_fields), ends_(new std::uint32_t[kBlock + 1 + kEndsSlack]) {}

    // Finds the ends of the fields in a block of the text from `begin` on, the beginning of a line; false where too
    // little text is left.
    bool index(const char* begin, const char* text_end) {
        const std::int64_t readable = text_end - begin - kReadAhead;
        if (readable < 64) return false;
        const auto size = static_cast<std::uint32_t>(std::min<std::int64_t>(readable / 64 * 64, kBlock));
        base_ = begin;
        ends_[0] = ~std::uint32_t{0};  // the line end before the block: the first field begins one further, at 0
        n_ends_ = FASTCF_SELECT_ISA(text_kernels).find_ends(begin, size, separator_, ends_.get() + 1) - ends_.get() - 1;
        next_ = 0;
        return true;
    }

    bool has_row() const { return next_ + n_fields_ <= n_ends_; }

    // The beginning of the next row.
    const char* cursor() const { return field_begin(before()[0]); }

    // Lets the rows before `cursor` be.
    void skip_to(const char* cursor) {
        while (next_ < n_ends_ && base_ + ends_[static_cast<std::size_t>(next_) + 1] < cursor) ++next_;
    }

    const char* base() const { return base_; }
    const char* field_begin(std::uint32_t end_before) const {
        return base_ + static_cast<std::uint32_t>(end_before + 1);
    }

    // before()[f + 1] is the end of field f of the next row; it has one where before() <= last_row().
    const std::uint32_t* before() const { return ends_.get() + next_; }
    const std::uint32_t* last_row() const { return ends_.get() + n_ends_ - n_fields_; }
    const std::uint32_t* last() const { return ends_.get() + n_ends_; }
    bool at_block_begin() const { return next_ == 0; }

    void go_to(const std::uint32_t* before) { next_ = before - ends_.get(); }

  private:
    char separator_;
    int n_fields_;
    std::unique_ptr<std::uint32_t[]> ends_;  // ends_[k + 1]: where the k-th field of the block ends
    const char* base_ = nullptr;
    std::int64_t n_ends_ = 0;
    std::int64_t next_ = 0;
};

}  // namespace fastcf::ingest
