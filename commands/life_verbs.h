// The verbs that begin, change and end what runs: start, stop, reload and their relatives.
// Each returns the exit status of the command.
#pragma once

#include "mail_system.h"

namespace bulkhead
{

int start(const Request& request, const MailSystem& system);
int start_in_foreground(const Request& request, const MailSystem& system);
int stop(const Request& request, const MailSystem& system);
int quick_stop(const Request& request, const MailSystem& system); // no error when it is stopped
int abort_now(const Request& request, const MailSystem& system);
int drain(const Request& request, const MailSystem& system);
int reload(const Request& request, const MailSystem& system);
int flush(const Request& request, const MailSystem& system);
int check(const Request& request);
int upgrade_configuration(const Request& request, const MailSystem& system);

// main.cf has values that nobody can understand: a master that runs is asked all the same, so
// that the reason why it stays as it is stands in its log too.
void reload_in_vain(const Request& request);

} // namespace bulkhead
