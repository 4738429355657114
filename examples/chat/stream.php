<?php

// Everybody may watch. A site would look into its session first, and answer 403.
sse_stream('chat');
