// Sorts one bucket of ratings by (user, item), keeping the list's order among equal pairs, and merges those.
#pragma once

#include <cstdint>
#include <vector>

#include "ingest/csr.h"

namespace fastcf {

// Entries [begin, end) of the output arrays belong to users [first_user, first_user + n_users).
struct Bucket {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t first_user = 0;
    std::int64_t n_users = 0;
    const std::uint16_t* local_users = nullptr;  // user - first_user of each entry; null: entries are sorted by user
};  // and indptr tells where each user begins

// One per thread: keeps its scratch memory from bucket to bucket.
class BucketSorter {
  public:
    BucketSorter(const CsrArrays& arrays, std::int64_t n_items, Duplicates duplicates);

    // Returns how many entries are kept; they stand at the bucket's front. indptr[user + 1] becomes the number of
    // entries of each user of the bucket; no other offset is written, and none outside the bucket's own is read.
    std::int64_t sort(const Bucket& bucket);

    bool found_duplicates() const { return found_duplicates_; }

  private:
    void count_rows(const Bucket& bucket);
    bool is_sorted(const Bucket& bucket) const;
    template <class Visit>
    void for_each_key(const Bucket& bucket, Visit visit) const;
    void sort_packed(const Bucket& bucket, int key_bits, int position_bits);
    void sort_pairs(const Bucket& bucket);
    template <class Key, class Position>
    std::int64_t write(const Bucket& bucket, Key key, Position position);

    CsrArrays arrays_;
    Duplicates duplicates_;
    int item_bits_;
    bool found_duplicates_ = false;
    std::vector<std::int64_t> rows_;  // of the bucket: start of each user, relative to `begin`
    std::vector<std::uint64_t> keys_;
    std::vector<std::uint64_t> other_;
    std::vector<float> values_;
    std::vector<float> weights_;
    std::vector<std::int64_t> timestamps_;
};

}  // namespace fastcf
