// The texts of delivery notices in the form of a template file: our own, or those of
// bounce_template_file in place of ours.  bounce sends them, postconf -t and -b shows them.
#pragma once

#include "base/result.h"
#include "config/config.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct BounceTemplate {
    std::string name; // "failure"
    std::string charset = "us-ascii";
    std::string from = "Mail Delivery System <MAILER-DAEMON>";
    std::string subject;
    std::string postmaster_subject; // empty: this notice has no copy for the postmaster
    std::vector<std::string> lines; // $name stands for a parameter
    bool is_own = true;             // not from a file
};
using BounceTemplates = std::array<BounceTemplate, 4>; // failure, delay, success, verify

BounceTemplates own_templates();

// Those of a file replace ours.  The error says file, line and reason.
Result<BounceTemplates> read_templates(std::string_view text, std::string_view file);

// As a template file: "failure_template = <<EOF" and so on.
std::string written_templates(const BounceTemplates& templates);
// The lines of one template, $names replaced.
Result<std::vector<std::string>> expanded_lines(const BounceTemplate& text, const Config& config,
                                                std::string_view file);

// "expanded_failure_text = <<EOF": the text alone, $names replaced.  A name that nobody
// knows is an error.
Result<std::string> expanded_templates(const BounceTemplates& templates, const Config& config,
                                       std::string_view file);

} // namespace bulkhead
