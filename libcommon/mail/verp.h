// Variable envelope return paths: each recipient's mail has a sender of its own, so that a
// bounce tells by its address alone who it is about.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead
{

// "list+user=example.test@lists.test" of list@lists.test, "+=" and user@example.test (all in
// internal form).  The sender itself for the null sender or other than two delimiters.
std::string verp_sender(std::string_view sender, std::string_view delimiters, std::string_view recipient);

} // namespace bulkhead
