package migrate

import "context"

// carryAttributes brings over what belongs to folders and not to messages, where both sides have it. It is looked at once
// before each cutover and not under the hold: it changes seldom, and takes a command for each folder.
func (w *worker) carryAttributes(ctx context.Context) error {
	known := w.known()
	var names []string
	for _, n := range w.surveyed.names() {
		if _, ok := known[n]; ok {
			names = append(names, n)
		}
	}
	if err := w.carrySpecialUses(ctx, w.surveyed, names); err != nil {
		return err
	}
	if err := w.carryACL(ctx, names); err != nil {
		return err
	}
	return w.carryMetadata(ctx, names)
}
