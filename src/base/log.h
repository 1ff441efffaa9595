/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of linnet itself to standard error. Only the daemon, the commands and the adapters of
 * third-party libraries log; libraries return errors. Findings never come through here. */
#ifndef LINNET_BASE_LOG_H
#define LINNET_BASE_LOG_H

#include "macros.h"

enum ln_log_level { LN_LOG_ERROR, LN_LOG_WARNING, LN_LOG_NOTICE, LN_LOG_INFO, LN_LOG_DEBUG };

void ln_log_set_level(enum ln_log_level level); /* LN_LOG_NOTICE unless set */
enum ln_log_level ln_log_level(void);

/* One line "linnet: …", with terminal control bytes escaped. */
void ln_log(enum ln_log_level level, const char *format, ...) LN_FORMAT(2, 3);

#endif
