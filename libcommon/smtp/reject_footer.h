// smtpd_reject_footer: what a postmaster adds to each reply that refuses.  Text to text.
#pragma once

#include "smtp/reply.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// The value of $name in a footer; nullopt when there is no such name.
using FooterValues = std::function<std::optional<std::string>(std::string_view name)>;

// The template's lines go behind those of the reply ("\n" begins another one); with "\c" in
// front its first line continues the reply's last.  A template that cannot be expanded adds
// nothing; the error says why.
Result<> append_footer(Reply& reply, std::string_view footer, const FooterValues& values);

} // namespace bulkhead
