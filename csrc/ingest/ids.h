// Integer ids and rows: the distinct ids of an array, ascending, and the way back from an id to its position among
// them. (text_ids.h has the same for texts.)
//
// Integers whose range is modest are looked up in a table, others in a hash table. Results depend neither on the number
// of threads nor on the order in which threads meet the ids: the distinct ids are sorted.
#pragma once

#include <cstdint>
#include <vector>

#include "core/view.h"

namespace fastcf {

// A read-only array of ids as NumPy stores them.
struct IdArray {
    enum class Type { int32, int64 };

    Type type = Type::int64;
    const void* data = nullptr;
    std::int64_t size = 0;
};

// Rows are int32 and a table of n rows has n + 1 offsets, so this many distinct ids at most.
inline constexpr std::int64_t kMaxDistinctIds = 0x7ffffffe;

// The distinct ids, ascending. Throws when there are more than `limit`. Dense integers take 1 byte per value of their
// range, others 24 to 48 bytes per distinct id and thread that meets it.
std::vector<std::int64_t> unique_integers(const IdArray& ids, std::int64_t limit, int n_threads);

// Looks up the position of an id among distinct ids.
class IdIndex {
  public:
    // Copies what it needs of `ids`. Throws when two are equal.
    explicit IdIndex(const IdArray& ids);

    std::int64_t size() const { return size_; }

    // Writes the positions of ids[begin, end) to out[0, end - begin), -1 where an id is unknown.
    void encode(const IdArray& ids, std::int64_t begin, std::int64_t end, std::int32_t* out) const;
    void encode_all(const IdArray& ids, std::int32_t* out, int n_threads) const;

  private:
    struct Slot {
        std::uint64_t hash;
        std::int64_t position;  // -1 where empty
    };

    template <class Integer>
    void encode_integers(const Integer* ids, std::int64_t n, std::int32_t* out) const;
    template <class Integer>
    void probe(const Integer* ids, std::int64_t n, std::int32_t* out) const;

    std::int64_t size_ = 0;
    bool consecutive_ = false;         // id = minimum_ + position: no table at all
    std::int64_t minimum_ = 0;         // of the table
    std::vector<std::int32_t> table_;  // position by id - minimum_, -1 where absent
    std::vector<Slot> slots_;          // hash table, for integers far apart
};

}  // namespace fastcf
