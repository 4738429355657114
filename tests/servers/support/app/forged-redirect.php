<?php

declare(strict_types=1);

// Sends the web server to a stream that the hub does not have.
header('X-Accel-Redirect: /.sse/forged');
