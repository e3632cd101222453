// {fmt} as an object of our own, for the commands that are linked with no shared library but the
// C library's (bh_lean in CMakeLists.txt): Debian has no archive of it.
#include <fmt/format-inl.h>

template char fmt::detail::decimal_point_impl<char>(fmt::detail::locale_ref);
template fmt::detail::thousands_sep_result<char>
    fmt::detail::thousands_sep_impl<char>(fmt::detail::locale_ref);
