// Matrix factorisation's prediction.
#pragma once

#include "core/device.h"

namespace fastcf {

// y_ui = offset_i + b_u + b_i + <p_u, q_i>, summed in this order. Koren, Bell and Volinsky 2009, equation 4, with the
// mean generalised to the normalisation offset of the item.
FASTCF_HD inline float mf_prediction(float offset, float user_bias, float item_bias, float product) {
    return offset + user_bias + item_bias + product;
}

}  // namespace fastcf
