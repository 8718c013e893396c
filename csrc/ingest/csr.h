// Compressed rows out of a list of ratings, and compressed columns out of compressed rows.
//
// Ratings are dealt into buckets of neighbouring users (one stable pass over memory), then every bucket, which fits the
// second-level cache, is sorted by (user, item) on its own. Results do not depend on the number of threads. Temporary
// memory: 2 bytes per rating and the buckets being sorted.
#pragma once

#include <cstdint>

#include "core/view.h"
#include "ingest/ids.h"

namespace fastcf {

enum class Duplicates { error, last, latest, max, mean, sum };

// Row numbers of a list's entries: given, or looked up as they are read, so that nobody need store them.
struct CodeSource {
    const std::int32_t* codes = nullptr;
    const IdIndex* index = nullptr;  // with `ids`, where `codes` is null
    IdArray ids;

    // The codes of [begin, end): a pointer into `codes`, or `buffer` filled.
    const std::int32_t* read(std::int64_t begin, std::int64_t end, std::int32_t* buffer) const {
        if (codes != nullptr) return codes + begin;
        index->encode(ids, begin, end, buffer);
        return buffer;
    }
};

struct Coo {
    const std::int32_t* users = nullptr;
    CodeSource items;
    const float* values = nullptr;
    const std::int64_t* timestamps = nullptr;  // may be null
    const float* weights = nullptr;            // may be null
    std::int64_t n = 0;
    std::int64_t n_users = 0;
    std::int64_t n_items = 0;
};

// Arrays of n entries (n_users + 1 for indptr); timestamps and weights null exactly where the input's are.
struct CsrArrays {
    std::int64_t* indptr = nullptr;
    std::int32_t* indices = nullptr;
    float* values = nullptr;
    std::int64_t* timestamps = nullptr;
    float* weights = nullptr;
};

struct CsrSummary {
    std::int64_t nnz = 0;               // entries kept
    std::int64_t duplicate_first = -1;  // Duplicates::error: the first entry that repeats an earlier (user, item) pair,
    std::int64_t duplicate_second = -1;  // and that earlier entry; the output is then meaningless
};

// Items ascend strictly within each user. Of equal pairs, in the order of the list: `last` keeps the last entry;
// `latest` the one with the largest timestamp, and `max` the one with the largest value, of equal ones the last; `mean`
// the mean of the values (weighted, where there are weights, which are summed) and the latest timestamp; `sum` the sum
// of the values, the mean weight and the latest timestamp. Sums run in double, in the order of the list.
// Throws when a user or item number is out of range. Where the list is `sorted` by user, values, timestamps and weights
// may be those of the list itself; they are then sorted where they stand.
CsrSummary coo_to_csr(const Coo& coo, bool sorted, Duplicates duplicates, int n_threads, const CsrArrays& out);

bool is_sorted_by_user(const Coo& coo, int n_threads);

// Compressed columns: `indices` gets the rows, ascending within a column, `entries` the positions in the CSR arrays.
// Outputs other than indptr may be null. Temporary memory: at most 1 byte per entry.
void csr_to_csc(const CsrView& csr, int n_threads, std::int64_t* indptr, std::int32_t* indices, float* values,
                std::int64_t* entries);

// Rows of the entries whose mask is not 0: writes the offsets of the subset, then copies each array on request.
void csr_subset_indptr(const CsrView& csr, const std::uint8_t* mask, int n_threads, std::int64_t* indptr);
void csr_subset_copy(const CsrView& csr, const std::uint8_t* mask, const std::int64_t* subset_indptr, int n_threads,
                     const void* from, void* to, std::int64_t item_size);

// The first value that is not finite, or, where `non_negative`, is below 0; -1 where there is none.
std::int64_t first_invalid(VectorView<const float> values, bool non_negative, int n_threads);

// Throws unless the columns ascend strictly within every row of a CSR matrix that check_csr accepted.
void check_ascending(const CsrView& csr, const char* caller);

}  // namespace fastcf
