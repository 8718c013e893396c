#include "ingest/csr.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "ingest/bucket_sort.h"

namespace fastcf {
namespace {

constexpr std::int64_t kBucketEntries = 1 << 15;  // aimed at: keys twice and values take 0.7 MB
constexpr std::int64_t kMaxBuckets = 1 << 12;     // more write streams than this outrun the address translation
constexpr std::int64_t kChunkEntries = 1 << 19;
constexpr std::int64_t kBlock = 1 << 13;  // entries whose item codes are read at once

// How the list is cut: chunks of consecutive entries, buckets of 2^shift consecutive users.
struct Layout {
    explicit Layout(const Coo& coo) {
        n_chunks = std::clamp<std::int64_t>(coo.n / kChunkEntries, 1, 256);
        const std::int64_t wanted = std::clamp<std::int64_t>(coo.n / kBucketEntries, 1, kMaxBuckets);
        while (shift < 16 && ((coo.n_users - 1) >> shift) >= wanted) ++shift;
        n_buckets = coo.n_users == 0 ? 0 : ((coo.n_users - 1) >> shift) + 1;
        n = coo.n;
        n_users = coo.n_users;
    }
    std::int64_t chunk_begin(std::int64_t chunk) const { return n * chunk / n_chunks; }
    std::int64_t first_user(std::int64_t bucket) const { return std::min(n_users, bucket << shift); }

    std::int64_t n = 0;
    std::int64_t n_users = 0;
    std::int64_t n_chunks = 0;
    std::int64_t n_buckets = 0;
    int shift = 0;
};

void check_user(std::int32_t user, std::int64_t entry, std::int64_t n_users) {
    check(user >= 0 && user < n_users, "user numbers must lie in [0, ", n_users, "); got ", user, " at entry ", entry);
}

void check_items(const std::int32_t* items, std::int64_t begin, std::int64_t end, std::int64_t n_items) {
    for (std::int64_t e = begin; e < end; ++e)
        check(items[e - begin] >= 0 && items[e - begin] < n_items, "item numbers must lie in [0, ", n_items, "); got ",
              items[e - begin], " at entry ", e);
}

// Counts entries per chunk and bucket (chunk-major).
std::vector<std::int64_t> count_buckets(const Coo& coo, const Layout& layout, int n_threads) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(layout.n_chunks * layout.n_buckets), 0);
    parallel_for(layout.n_chunks, n_threads, [&](std::int64_t chunk, int) {
        std::int64_t* count = counts.data() + chunk * layout.n_buckets;
        for (std::int64_t e = layout.chunk_begin(chunk); e < layout.chunk_begin(chunk + 1); ++e) {
            check_user(coo.users[e], e, coo.n_users);
            ++count[coo.users[e] >> layout.shift];
        }
    });
    return counts;
}

// Turns counts into the positions where each chunk writes into each bucket; returns where each bucket starts.
std::vector<std::int64_t> bucket_offsets(const Layout& layout, std::vector<std::int64_t>& counts) {
    std::vector<std::int64_t> starts(static_cast<std::size_t>(layout.n_buckets) + 1);
    std::int64_t position = 0;
    for (std::int64_t bucket = 0; bucket < layout.n_buckets; ++bucket) {
        starts[static_cast<std::size_t>(bucket)] = position;
        for (std::int64_t chunk = 0; chunk < layout.n_chunks; ++chunk) {
            std::int64_t& count = counts[static_cast<std::size_t>(chunk * layout.n_buckets + bucket)];
            const std::int64_t offset = position;
            position += count;
            count = offset;
        }
    }
    starts.back() = position;
    return starts;
}

// Deals the list into buckets, keeping its order within each.
void deal(const Coo& coo, const Layout& layout, std::vector<std::int64_t>& offsets, int n_threads,
          std::uint16_t* local_users, const CsrArrays& out) {
    const std::int32_t mask = static_cast<std::int32_t>((1U << layout.shift) - 1U);
    parallel_for(layout.n_chunks, n_threads, [&](std::int64_t chunk, int) {
        std::int64_t* offset = offsets.data() + chunk * layout.n_buckets;
        std::vector<std::int32_t> buffer(kBlock);
        const std::int64_t chunk_end = layout.chunk_begin(chunk + 1);
        for (std::int64_t begin = layout.chunk_begin(chunk); begin < chunk_end; begin += kBlock) {
            const std::int64_t end = std::min(chunk_end, begin + kBlock);
            const std::int32_t* items = coo.items.read(begin, end, buffer.data());
            check_items(items, begin, end, coo.n_items);
            for (std::int64_t e = begin; e < end; ++e) {
                const std::int32_t user = coo.users[e];
                const std::int64_t to = offset[user >> layout.shift]++;
                local_users[to] = static_cast<std::uint16_t>(user & mask);
                out.indices[to] = items[e - begin];
                out.values[to] = coo.values[e];
                if (coo.timestamps != nullptr) out.timestamps[to] = coo.timestamps[e];
                if (coo.weights != nullptr) out.weights[to] = coo.weights[e];
            }
        }
    });
}

// The list is sorted by user: copies it and marks where each user begins. Returns where each bucket starts.
std::vector<std::int64_t> copy_sorted(const Coo& coo, const Layout& layout, int n_threads, const CsrArrays& out) {
    if (coo.n > 0) {
        check_user(coo.users[0], 0, coo.n_users);
        check_user(coo.users[coo.n - 1], coo.n - 1, coo.n_users);
    }
    parallel_for(layout.n_chunks, n_threads, [&](std::int64_t chunk, int) {
        const std::int64_t begin = layout.chunk_begin(chunk);
        const std::int64_t end = layout.chunk_begin(chunk + 1);
        const auto n = static_cast<std::size_t>(end - begin);
        const std::int32_t* items = coo.items.read(begin, end, out.indices + begin);
        check_items(items, begin, end, coo.n_items);
        if (items != out.indices + begin) std::memcpy(out.indices + begin, items, n * sizeof(std::int32_t));
        const auto copy = [&](auto* to, const auto* from) {
            if (from != nullptr && from != to) std::copy(from + begin, from + end, to + begin);
        };
        copy(out.values, coo.values);
        copy(out.timestamps, coo.timestamps);
        copy(out.weights, coo.weights);
        std::int64_t previous = begin == 0 ? -1 : coo.users[begin - 1];
        for (std::int64_t e = begin; e < end; ++e)
            while (previous < coo.users[e]) out.indptr[++previous] = e;
    });
    const std::int64_t last = coo.n == 0 ? -1 : coo.users[coo.n - 1];
    std::fill(out.indptr + last + 1, out.indptr + coo.n_users + 1, coo.n);
    std::vector<std::int64_t> starts;
    for (std::int64_t bucket = 0; bucket <= layout.n_buckets; ++bucket)
        starts.push_back(out.indptr[layout.first_user(bucket)]);
    return starts;
}

// Which entry first repeats an earlier pair. `indptr` and `indices` are sorted, equal pairs still in them.
void find_duplicate(const Coo& coo, const CsrArrays& csr, CsrSummary& summary) {
    std::vector<bool> seen(static_cast<std::size_t>(coo.n));
    std::vector<std::int32_t> buffer(kBlock);
    for (std::int64_t begin = 0; begin < coo.n; begin += kBlock) {
        const std::int64_t end = std::min(coo.n, begin + kBlock);
        const std::int32_t* items = coo.items.read(begin, end, buffer.data());
        for (std::int64_t e = begin; e < end; ++e) {
            const std::int64_t user = coo.users[e];
            const std::int32_t item = items[e - begin];
            const std::int32_t* row = csr.indices + csr.indptr[user];
            const std::int32_t* row_end = csr.indices + csr.indptr[user + 1];
            const auto slot = std::lower_bound(row, row_end, item) - csr.indices;
            if (seen[static_cast<std::size_t>(slot)]) {
                summary.duplicate_second = e;
                for (std::int64_t first = 0; summary.duplicate_first < 0; ++first) {
                    if (coo.users[first] != user) continue;
                    std::int32_t code;
                    if (*coo.items.read(first, first + 1, &code) == item) summary.duplicate_first = first;
                }
                return;
            }
            seen[static_cast<std::size_t>(slot)] = true;
        }
    }
}

}  // namespace

bool is_sorted_by_user(const Coo& coo, int n_threads) {
    std::atomic<bool> sorted{true};
    parallel_chunks(coo.n, kChunkEntries, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        if (!sorted.load(std::memory_order_relaxed)) return;
        bool ascending = begin == 0 || coo.users[begin - 1] <= coo.users[begin];
        for (std::int64_t e = begin + 1; e < end; ++e) ascending &= coo.users[e - 1] <= coo.users[e];
        if (!ascending) sorted.store(false, std::memory_order_relaxed);
    });
    return sorted.load();
}

CsrSummary coo_to_csr(const Coo& coo, bool sorted, Duplicates duplicates, int n_threads, const CsrArrays& out) {
    const Layout layout(coo);
    std::vector<std::int64_t> starts;
    AlignedBuffer<std::uint16_t> local_users;
    if (sorted) {
        starts = copy_sorted(coo, layout, n_threads, out);
    } else {
        std::vector<std::int64_t> offsets = count_buckets(coo, layout, n_threads);
        starts = bucket_offsets(layout, offsets);
        local_users = AlignedBuffer<std::uint16_t>(coo.n);
        deal(coo, layout, offsets, n_threads, local_users.data(), out);
    }

    // Every bucket sorts itself in place, drops its duplicates and leaves the size of each row in indptr.
    const auto threads = static_cast<std::size_t>(resolve_threads(n_threads));
    std::vector<BucketSorter> sorters(threads, BucketSorter(out, coo.n_items, duplicates));
    std::vector<std::int64_t> kept(static_cast<std::size_t>(layout.n_buckets));
    std::atomic<bool> repeated{false};
    parallel_for(layout.n_buckets, n_threads, [&](std::int64_t bucket, int thread) {
        const auto b = static_cast<std::size_t>(bucket);
        Bucket task;
        task.begin = starts[b];
        task.end = starts[b + 1];
        task.first_user = layout.first_user(bucket);
        task.n_users = layout.first_user(bucket + 1) - task.first_user;
        task.local_users = sorted ? nullptr : local_users.data() + task.begin;
        kept[b] = sorters[static_cast<std::size_t>(thread)].sort(task);
        if (sorters[static_cast<std::size_t>(thread)].found_duplicates())
            repeated.store(true, std::memory_order_relaxed);
    });

    out.indptr[0] = 0;
    std::partial_sum(out.indptr, out.indptr + coo.n_users + 1, out.indptr);
    CsrSummary summary;
    summary.nnz = out.indptr[coo.n_users];
    if (!repeated.load()) return summary;
    if (duplicates == Duplicates::error) {
        find_duplicate(coo, out, summary);
        return summary;
    }
    for (std::int64_t bucket = 0; bucket < layout.n_buckets; ++bucket) {  // rows only ever move towards the front
        const auto b = static_cast<std::size_t>(bucket);
        const std::int64_t to = out.indptr[layout.first_user(bucket)];
        const auto move = [&](auto* array) {
            if (array != nullptr) std::copy(array + starts[b], array + starts[b] + kept[b], array + to);
        };
        if (to == starts[b]) continue;
        move(out.indices);
        move(out.values);
        move(out.timestamps);
        move(out.weights);
    }
    return summary;
}

void csr_to_csc(const CsrView& csr, int n_threads, std::int64_t* indptr, std::int32_t* indices, float* values,
                std::int64_t* entries) {
    const std::int64_t nnz = csr.nnz();
    const std::int64_t n_chunks = std::clamp<std::int64_t>(nnz / (8 * csr.cols + 1), 1, 64);
    const auto chunk_begin = [&](std::int64_t chunk) { return nnz * chunk / n_chunks; };
    std::vector<std::int64_t> counts(static_cast<std::size_t>(n_chunks * csr.cols), 0);
    parallel_for(n_chunks, n_threads, [&](std::int64_t chunk, int) {
        std::int64_t* count = counts.data() + chunk * csr.cols;
        for (std::int64_t e = chunk_begin(chunk); e < chunk_begin(chunk + 1); ++e) ++count[csr.indices[e]];
    });
    std::int64_t position = 0;
    for (std::int64_t column = 0; column < csr.cols; ++column) {
        indptr[column] = position;
        for (std::int64_t chunk = 0; chunk < n_chunks; ++chunk) {
            std::int64_t& count = counts[static_cast<std::size_t>(chunk * csr.cols + column)];
            const std::int64_t offset = position;
            position += count;
            count = offset;
        }
    }
    indptr[csr.cols] = position;
    parallel_for(n_chunks, n_threads, [&](std::int64_t chunk, int) {
        std::int64_t* offset = counts.data() + chunk * csr.cols;
        const std::int64_t begin = chunk_begin(chunk);
        const std::int64_t end = chunk_begin(chunk + 1);
        std::int64_t row = std::upper_bound(csr.indptr, csr.indptr + csr.rows + 1, begin) - csr.indptr - 1;
        for (std::int64_t e = begin; e < end; ++row) {
            for (const std::int64_t row_end = std::min(end, csr.indptr[row + 1]); e < row_end; ++e) {
                const std::int64_t to = offset[csr.indices[e]]++;
                if (indices != nullptr) indices[to] = static_cast<std::int32_t>(row);
                if (values != nullptr) values[to] = csr.values[e];
                if (entries != nullptr) entries[to] = e;
            }
        }
    });
}

void csr_subset_indptr(const CsrView& csr, const std::uint8_t* mask, int n_threads, std::int64_t* indptr) {
    indptr[0] = 0;
    parallel_chunks(csr.rows, 1 << 10, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t row = begin; row < end; ++row) {
            std::int64_t kept = 0;
            for (std::int64_t e = csr.indptr[row]; e < csr.indptr[row + 1]; ++e) kept += mask[e] != 0;
            indptr[row + 1] = kept;
        }
    });
    std::partial_sum(indptr, indptr + csr.rows + 1, indptr);
}

namespace {

template <class T>
void subset_copy(const CsrView& csr, const std::uint8_t* mask, const std::int64_t* subset_indptr, int n_threads,
                 const T* from, T* to) {
    parallel_chunks(csr.rows, 1 << 10, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        T* target = to + subset_indptr[begin];
        for (std::int64_t e = csr.indptr[begin]; e < csr.indptr[end]; ++e)
            if (mask[e] != 0) *target++ = from[e];
    });
}

}  // namespace

void csr_subset_copy(const CsrView& csr, const std::uint8_t* mask, const std::int64_t* subset_indptr, int n_threads,
                     const void* from, void* to, std::int64_t item_size) {
    if (item_size == 4)
        subset_copy(csr, mask, subset_indptr, n_threads, static_cast<const std::uint32_t*>(from),
                    static_cast<std::uint32_t*>(to));
    else
        subset_copy(csr, mask, subset_indptr, n_threads, static_cast<const std::uint64_t*>(from),
                    static_cast<std::uint64_t*>(to));
}

std::int64_t first_invalid(VectorView<const float> values, bool non_negative, int n_threads) {
    constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
    std::atomic<std::int64_t> first{kNone};
    const float lowest = non_negative ? 0.0F : -std::numeric_limits<float>::max();
    parallel_chunks(values.size, 1 << 17, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        bool valid = true;
        for (std::int64_t i = begin; i < end; ++i)
            valid &= values[i] >= lowest && values[i] <= std::numeric_limits<float>::max();
        if (valid) return;
        while (values[begin] >= lowest && values[begin] <= std::numeric_limits<float>::max()) ++begin;
        std::int64_t known = first.load();
        while (begin < known && !first.compare_exchange_weak(known, begin)) {
        }
    });
    return first.load() == kNone ? -1 : first.load();
}

void check_ascending(const CsrView& csr, const char* caller) {
    for (std::int64_t row = 0; row < csr.rows; ++row)
        for (std::int64_t e = csr.indptr[row] + 1; e < csr.indptr[row + 1]; ++e)
            check(csr.indices[e - 1] < csr.indices[e], caller, ": indices must ascend strictly within a row; got ",
                  csr.indices[e - 1], " before ", csr.indices[e], " in row ", row);
}

}  // namespace fastcf
