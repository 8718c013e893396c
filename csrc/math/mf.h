// Matrix factorisation's prediction.
#pragma once

#include "core/device.h"

namespace fastcf {

// y_ui = offset_i + b_u + b_i + <p_u, q_i>, summed in this order. Koren, Bell and Volinsky 2009, equation 4, with the
// mean generalised to the normalisation offset of the item.
template <class T>
FASTCF_FORMULA T mf_prediction(T offset, T user_bias, T item_bias, T product) {
    return offset + user_bias + item_bias + product;
}

}  // namespace fastcf
