<?php

declare(strict_types=1);

// Streams `topics`; `detach=0`: in this worker.
sse_stream(explode(',', $_GET['topics']), null, isset($_GET['detach']) ? ['detach' => false] : []);
