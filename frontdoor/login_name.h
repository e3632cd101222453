// Who wants to log in, as a client's first message in a SASL exchange says.  Reads the name and
// nothing else: whether the rest is right is the environment's business.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// Mechanisms whose first message has the name, so that an exchange may begin without knowing who
// goes on with it.
bool tells_name_first(std::string_view mechanism);

// What the server says to a client that waits to be asked: the text of the 334, decoded.
std::string_view first_challenge(std::string_view mechanism);

// nullopt: there is no name, or none that could be one.
std::optional<std::string> login_name(std::string_view mechanism, std::string_view message);

} // namespace bulkhead
