#include "active_message.h"

#include <initializer_list>
#include <utility>

namespace bulkhead
{

// The one of the values that it is, which need not be kept.
static const char* one_of(std::initializer_list<const char*> values, const std::string& value)
{
    for (const char* const known : values)
        if (value == known)
            return known;
    return "";
}

ActiveEnvelope::ActiveEnvelope(const Envelope& whole)
    : sender(whole.sender), encoding(one_of({"7bit", "8bit"}, whole.encoding)),
      rewrite_context(one_of({"local", "remote"}, whole.rewrite_context)), arrival(whole.arrival),
      create_time(whole.create_time), warn_time(whole.warn_time), warn_offset(whole.warn_offset),
      data_offset(whole.sizes.data_offset), message_size(whole.message_size()), ret_flags(whole.ret_flags),
      trace_flags(whole.trace_flags), send_options(whole.sizes.send_options)
{
    Rare its{whole.envelope_id, whole.verp, whole.content_filter, whole.redirect, whole.trace_flags_offset};
    if (its != Rare())
        if_rare = std::make_unique<const Rare>(std::move(its));
}

const ActiveEnvelope::Rare& ActiveEnvelope::rare() const
{
    static const Rare nothing;
    return if_rare ? *if_rare : nothing;
}

} // namespace bulkhead
