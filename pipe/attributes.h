// The arguments of a pipe service in master.cf: user=, flags=, argv= and their kin.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bulkhead
{

struct PipeFlags {
    bool blank_line_at_end = false; // B
    bool delivered_to = false;      // D
    bool from_line = false;         // F
    bool original_to = false;       // O
    bool return_path = false;       // R
    bool final_delivery = false;    // X: a success notice says "delivered", not "relayed"
    bool fold_domain = false;       // h
    bool fold_user = false;         // u
    bool quote = false;             // q
    bool quote_dots = false;        // .
    bool quote_from = false;        // >
};

struct PipeAttributes {
    std::string user; // "name" or "name:group"
    PipeFlags flags;
    std::string null_sender = "MAILER-DAEMON";
    std::string directory;
    std::string root;
    std::int64_t size_limit = 0; // bytes, 0: none
    std::string eol = "\n";
    std::vector<std::string> words; // of the command, not expanded

    // Fault::config: an unknown attribute, flag or macro, no user= or argv=, a bad number.
    static Result<PipeAttributes> parse(std::span<const std::string> arguments);
};

} // namespace bulkhead
