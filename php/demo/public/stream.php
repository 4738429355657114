<?php

declare(strict_types=1);

// The browser's EventSource opens this. The hub takes the connection, and this worker is free at once.
sse_stream('chat.general');
