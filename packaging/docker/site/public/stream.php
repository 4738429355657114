<?php

declare(strict_types=1);

sse_stream('messages');
