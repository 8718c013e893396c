// Ratings in random order, a batch at a time. The host keeps them and plans what the device does.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/view.h"
#include "ops/mf_gradient.h"

namespace fastcf {

class Batches {
  public:
    // A batch as a small problem of its own, on the device: the rows that it touches are numbered anew.
    struct Side {
        VectorView<const std::int32_t> rows;  // ascending
        const std::int32_t* host_rows;        // the same, where the host can read them
        VectorView<const float> shares;       // of each: its ratings in the batch, over those of the batch
    };
    struct Batch {
        MfRatings<float> ratings;  // weights are over the size of the batch
        Side users, items;
        std::int64_t size = 0;
    };

    Batches() = default;
    // `weights` (one per rating) may be empty. Ratings must be fewer than 2^32.
    Batches(const CsrView& ratings, VectorView<const float> weights, std::int64_t batch_size, std::uint64_t seed);

    // The ratings in an epoch's order, as positions among those by user; every batch_size of them are a batch.
    std::vector<std::uint32_t> shuffled(std::uint64_t epoch) const;
    std::int32_t user(std::uint32_t entry) const { return users_[entry]; }
    std::int32_t item(std::uint32_t entry) const { return items_[entry]; }

    void start(std::uint64_t epoch, int n_threads);
    std::int64_t count() const;
    // The number-th batch of the epoch that was started; its arrays last until the next is asked for.
    Batch batch(std::int64_t number);

  private:
    struct SideParts {
        UploadBlock::Part<std::int32_t> rows;
        UploadBlock::Part<std::int64_t> indptr;
        UploadBlock::Part<float> shares;
    };

    Side finish(const SideParts& side, std::int64_t n, float scale);

    std::int64_t batch_size_ = 0;
    std::uint64_t seed_ = 0;
    std::vector<std::int32_t> users_, items_;  // of each rating, by user
    std::vector<float> values_, weights_;
    std::vector<std::uint32_t> order_;

    UploadBlock block_;
    SideParts user_parts_, item_parts_;
    UploadBlock::Part<std::int32_t> items_part_, users_part_;
    UploadBlock::Part<std::int64_t> entries_part_;
    UploadBlock::Part<float> values_part_, weights_part_;
    std::vector<std::int32_t> place_;  // of each item in the batch; -1: none
};

}  // namespace fastcf
